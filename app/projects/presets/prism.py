"""PRISM: a live chat in which every answer gets a place on a slider; afterwards, what made the difference."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import CombinedProtocol, ConversationProtocol, Opening, QuestionsProtocol
from app.projects.protocols.questions import Question
from app.projects.rules import Sampling
from app.translation import _

PAPER = "Kirk et al. 2024, arXiv:2404.16019"


def attribute(key: str, label: str) -> Question:
    """Section 2, the feedback after a conversation: how well it went in this respect, 1–100; may be left open."""
    return Question(key=key, label=label, type="number", least=1, most=100, whole=True, required=False)


PRISM = Preset(
    key="prism",
    name=_("Live chat with sliders, by many different people"),
    study=PAPER,
    about=_("A live chat: four answers first, then two of the best one, each from 1 to 100; attributes at the end."),
    protocol=CombinedProtocol(
        preset="prism",
        parts=(
            ConversationProtocol(
                # three kinds of conversations, in words of our own
                cards=(
                    Opening(topic=_("anything you would ask or tell an assistant")),
                    Opening(topic=_("something that matters to you"), aim=_("talk about your values")),
                    Opening(topic=_("something that people around you disagree about"), aim=_("say where you stand")),
                ),
                answers=(4, 2),  # section 2: four models answer the first message, two samples of the winner the others
                later="winner",
                mixed=True,  # section 2: 21 models, four at random
                asks="scores",  # section 2: a slider from terrible to perfect, kept as 1–100; the highest goes on
                low=_("terrible"),
                high=_("perfect"),
                least=2,
                most=20,
                sampling=Sampling(max_tokens=512),
            ),
            QuestionsProtocol(
                completions=0,
                questions=(
                    attribute("values", _("Reflects my values")),
                    attribute("fluency", _("Well written")),
                    attribute("factuality", _("Factual")),
                    attribute("safety", _("Safe")),
                    attribute("diversity", _("Shows different views")),
                    attribute("creativity", _("Creative")),
                    attribute("helpfulness", _("Helpful")),
                    Question(key="feedback", label=_("What was good or bad about it?"), type="text", required=False),
                ),
            ),
        ),
        gold_share=0,  # taste has no known answers
    ),
    k=1,  # section 2: everybody rates their own conversations
    mixed=True,  # section 2: 21 models, four at random
    guidelines="""\
There is no right answer here: we want to know what **you** think, as the person you are.

- Write your first message to what stands on the card, as you would write it for yourself. Four answers come.
- Move the slider of each answer from *terrible* to *perfect*. Answers may stand close together or at the same place.
- The conversation goes on with the answer that you put highest; write on until you have said what you wanted.
- Rate the answer that you would have liked to get, not the one that you think others want.
- The questions at the end are about the whole conversation, each from 1 to 100. Leave open what does not apply.
""",
    sources={
        "asked": f"{PAPER}, section 2: a live chat, then feedback on the conversation",
        "completions": f"{PAPER}, section 2: four models at the first turn, two samples of the winner afterwards",
        "scale": f"{PAPER}, section 2: a slider from terrible to perfect, kept as 1–100",
        "turns": "ours: the study leaves the length open (from memory, not checked)",
        "cards": f"{PAPER}, and its dataset card: unguided, about values, about controversy; our words",
        "later": f"{PAPER}, section 2: the highest rated model goes on alone",
        "closing": f"{PAPER}, section 2: attributes of the model's performance, then an open text",
        "overlap": f"{PAPER}, section 2: everybody rates their own conversation",
        "gold_share": f"{PAPER}: taste has no known answers; {UNREPORTED_GOLD}",
        "pairing": f"{PAPER}, section 2: 21 models, four at random",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "scale", "cards", "later", "pairing"),
    departs=(
        _("Four different models answer only where the project may use four checkpoints; else some answer twice."),
        _("The study marks attributes as not applicable. Here they are left open."),
        _("The study begins with a survey about the person. It is not part of a protocol."),
    ),
)
