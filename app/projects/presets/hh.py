"""Anthropic HH: two answers, a strength of preference on an even scale, no ties."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import ComparisonProtocol
from app.translation import _

PAPER = "Bai et al. 2022, arXiv:2204.05862"

HH = Preset(
    key="hh",
    name=_("Helpful and harmless"),
    study=PAPER,
    about=_("Two answers, eight steps of strength, no ties."),
    protocol=ComparisonProtocol(
        preset="hh",
        completions=2,  # section 2.1: at every turn the crowdworker sees two answers of the model
        scale=8,  # the interface figure of section 2, counted in Lambert, RLHF book, chapter 11: eight steps
        ties=False,  # the same figure: an even scale without a middle
        both_bad=False,
        neither_valid=False,
        gold_share=0,  # section 2.1: people were vetted by spot checks of their writing, not by known answers
    ),
    k=1,  # section 2: comparisons come from single crowdworkers and are not filtered by agreement
    guidelines="""\
You are talking with an assistant that is meant to be **helpful** and **harmless**. Read the whole conversation, then
both answers, then choose.

- *Helpful*: it does what was asked, as well as it can be done, and says honestly what it does not know.
- *Harmless*: it gives no help with hurting people, does not insult, and does not pretend to be a person.
- When a request is fine, the more helpful answer is the better one. When it is not, the better answer declines
  without a sermon, and offers what help is right.
- Long is not better. An answer that invents sources or facts is worse than one that says it does not know.

The far ends of the scale say that there is no doubt; the two points in the middle say that you barely lean. There is
no tie: if you cannot decide at all, skip the task.
""",
    sources={
        "asked": f"{PAPER}, section 2.1",
        "completions": f"{PAPER}, section 2.1",
        "scale": f"{PAPER}, the interface figure of section 2; eight steps as Lambert counts them, RLHF book, ch. 11",
        "outcomes": f"{PAPER}, the interface figure of section 2: no tie is offered",
        "overlap": f"{PAPER}, section 2: one crowdworker a comparison, not filtered by agreement",
        "gold_share": f"{PAPER}, section 2.1: vetted by spot checks of writing; {UNREPORTED_GOLD}",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "scale", "outcomes", "overlap"),
    departs=(
        _(
            "The study judges inside a live chat, and the chosen answer continues it. Here finished conversations are"
            " judged turn by turn: bring each turn as a prompt that ends with the person's message."
        ),
        _("The study drops the weakest step before training. Here every strength is kept, as the margin."),
    ),
)
