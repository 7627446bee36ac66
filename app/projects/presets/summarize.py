"""Learning to summarize from human feedback: nine points of confidence, and four axes."""

from app.projects.presets.base import GUIDELINES, Preset
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, RatingProtocol
from app.projects.protocols.rating import Criterion
from app.translation import _

PAPER = "Stiennon et al. 2020, arXiv:2009.01325"


def axis(key: str, label: str, hint: str = "") -> Criterion:
    """Appendix C.5: an axis goes from 1 to 7. The study asks them of samples of their own, so they may be left open."""
    ends = (_("terrible"), _("perfect"))
    return Criterion(key=key, label=label, hint=hint, points=7, low=ends[0], high=ends[1], required=False)


SUMMARIZE = Preset(
    key="summarize",
    name=_("Summaries"),
    study=PAPER,
    about=_("Two summaries on nine points, with accuracy, coverage and coherence if wanted."),
    protocol=CombinedProtocol(
        preset="summarize",
        parts=(
            # appendix C.5: nine points of confidence between the two summaries; the middle is no preference
            ComparisonProtocol(completions=2, scale=9, ties=True, both_bad=False, neither_valid=False),
            RatingProtocol(
                completions=2,
                criteria=(
                    axis("overall", _("Overall")),
                    axis("accuracy", _("Accuracy"), _("Says only what the text says.")),
                    axis("coverage", _("Coverage"), _("Says what matters.")),
                    axis("coherence", _("Coherence"), _("Reads well by itself.")),
                ),
            ),
        ),
        gold_share=0.1,  # appendix C.1: 10–20 % of the work is a pool that the researchers have labelled too
    ),
    k=1,  # section 3.3 and appendix C.2: one label a comparison, several only to measure agreement
    guidelines="""\
Read the text first and say to yourself, in a sentence, what it is about. Then read both summaries.

A good summary tells somebody who has *not* read the text what they would need to know, and nothing that is not in it.

- **Accuracy**: nothing invented, nothing twisted. One false statement outweighs much good style.
- **Coverage**: the point of the text is there; side issues may be missing.
- **Coherence**: it can be understood by itself.
- Between two summaries of about the same worth, the shorter one is better.

On the scale, 1 and 9 mean that you are certain, 5 that you see no difference. The four axes are welcome and may be left
open.
""",
    sources={
        "asked": f"{PAPER}, section 3.3 and appendix C.5",
        "completions": f"{PAPER}, section 3.3",
        "scale": f"{PAPER}, appendix C.5: nine points of confidence",
        "outcomes": f"{PAPER}, appendix C.5: the middle of the scale",
        "criteria": f"{PAPER}, appendix C.5: four axes, 1–7",
        "overlap": f"{PAPER}, appendix C.2: several labels only to measure agreement",
        "gold_share": f"{PAPER}, appendix C.1: a shared calibration pool of 10–20 %",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "scale", "criteria", "overlap", "gold_share"),
    departs=(
        _(
            "In the study people write down what a summary says before they have seen the text. Here the guidelines ask"
            " for the order of reading only."
        ),
        _(
            "The study asks the four axes of samples of their own, to evaluate. Here they are optional beside the"
            " comparison."
        ),
    ),
)
