"""Chatbot Arena: two answers of unknown models, four buttons."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import ComparisonProtocol
from app.translation import _

PAPER = "Chiang et al. 2024, arXiv:2403.04132"

ARENA = Preset(
    key="arena",
    name=_("Arena"),
    study=PAPER,
    about=_("Two answers of different models: A, B, a tie or both bad."),
    protocol=ComparisonProtocol(
        preset="arena",
        completions=2,  # section 3.1: two anonymous models
        scale=2,  # section 3.1: one or the other
        ties=True,  # section 3.1: a tie
        both_bad=True,  # section 3.1: both are bad
        neither_valid=False,
        gold_share=0,  # section 7: unusual voters are found by a test on their votes
    ),
    k=1,  # section 3.1: every vote is about a conversation of its own
    mixed=True,  # section 3.1: two models, drawn for each battle
    guidelines="""\
Read the request, read both answers, and say which one you would rather have been given.

Judge by what you need yourself: there is no list of criteria. *Tie* means that both are good; *both bad* that you would
have been let down either way. Who wrote the answers stays hidden; if an answer gives itself away, judge what it says.
""",
    sources={
        "asked": f"{PAPER}, section 3.1",
        "completions": f"{PAPER}, section 3.1",
        "scale": f"{PAPER}, section 3.1: A or B",
        "outcomes": f"{PAPER}, section 3.1: tie and both bad",
        "overlap": f"{PAPER}, section 3.1: one vote a conversation",
        "gold_share": f"{PAPER}, section 7: unusual voters are found by their votes; {UNREPORTED_GOLD}",
        "pairing": f"{PAPER}, section 3.1: two anonymous models",
        "guidelines": GUIDELINES,
    },
    departs=(
        _(
            "The study is a live chat with prompts of the visitors' own, and shows the models' names after the vote."
            " Here prompts are brought in, and names are never shown to those who judge."
        ),
    ),
)
