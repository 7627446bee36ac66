"""PRISM: every answer on a slider from terrible to perfect, then what made the difference."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import RatingProtocol
from app.projects.protocols.rating import Criterion
from app.translation import _

PAPER = "Kirk et al. 2024, arXiv:2404.16019"


def attribute(key: str, label: str) -> Criterion:
    """Section 2, the feedback after a conversation: how well the model did in this respect; may be left open."""
    ends = (_("very poorly"), _("very well"))
    return Criterion(key=key, label=label, scale="slider", low=ends[0], high=ends[1], required=False)


PRISM = Preset(
    key="prism",
    name=_("Sliders, by many different people"),
    study=PAPER,
    about=_("Four answers of different models, each from 1 to 100, with attributes if wanted."),
    protocol=RatingProtocol(
        preset="prism",
        completions=4,  # section 2: four models answer the first message, two samples of the winner the later ones
        criteria=(
            # section 2: a slider from terrible to perfect, kept as 1–100
            Criterion(key="score", label=_("Overall"), scale="slider", low=_("terrible"), high=_("perfect")),
            attribute("values", _("Reflects my values")),
            attribute("fluency", _("Well written")),
            attribute("factuality", _("Factual")),
            attribute("safety", _("Safe")),
            attribute("diversity", _("Shows different views")),
            attribute("creativity", _("Creative")),
            attribute("helpfulness", _("Helpful")),
        ),
        gold_share=0,  # taste has no known answers
    ),
    k=1,  # section 2: everybody rates their own conversations
    mixed=True,  # section 2: 21 models, four at random
    guidelines="""\
There is no right answer here: we want to know what **you** think, as the person you are.

- Move the slider of each answer from *terrible* to *perfect*. Answers may stand close together or at the same place.
- Rate the answer that you would have liked to get, not the one that you think others want.
- The questions after that (your values, well written, factual …) may be left open. Answer those that made a
  difference to you.
- If you like, write in your own words what was good or bad (key R).
""",
    sources={
        "asked": f"{PAPER}, section 2",
        "completions": f"{PAPER}, section 2: four at the first turn",
        "criteria": f"{PAPER}, section 2: a slider kept as 1–100; then attributes of the model's performance",
        "overlap": f"{PAPER}, section 2: everybody rates their own conversation",
        "gold_share": f"{PAPER}: taste has no known answers; {UNREPORTED_GOLD}",
        "pairing": f"{PAPER}, section 2: 21 models, four at random",
        "guidelines": GUIDELINES,
    },
    departs=(
        _(
            "The study is a live chat: four answers at the first turn, two samples of the winner afterwards. Here each"
            " turn is a prompt of its own with four answers."
        ),
        _(
            "The study asks the attributes once a conversation, about the best and with “not applicable”. Here they are"
            " optional questions about each answer."
        ),
        _("The study begins with a survey about the person. It is not part of a protocol."),
    ),
)
