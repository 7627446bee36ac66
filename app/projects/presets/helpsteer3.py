"""HelpSteer3-Preference: a preference from -3 to 3 by specialists, with the reason."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import ComparisonProtocol
from app.translation import _

PAPER = "Wang et al. 2025, arXiv:2505.11475"

HELPSTEER3 = Preset(
    key="helpsteer3",
    name=_("Preference by specialists"),
    study=PAPER,
    about=_("Two answers of different models on seven points, by three people who know the field."),
    protocol=ComparisonProtocol(
        preset="helpsteer3",
        completions=2,  # section 3: two answers, of 17 models in all
        scale=7,  # section 3: -3 … 3
        ties=True,  # section 3: 0, about the same
        both_bad=False,
        neither_valid=True,  # ours, after HelpSteer2-Preference (arXiv:2410.01257), whose scale it continues
        gold_share=0,  # section 3: quality comes from specialists and overlap
    ),
    k=3,  # section 3: three to five people, the three who agree most are kept
    mixed=True,  # section 3: 17 models
    guidelines="""\
You know this field: judge as you would judge a colleague's work.

- Check what can be checked. Run code in your head or on your machine, recompute the numbers, look at the edge cases.
- In another language than English, judge the language too: would a native speaker write like this?
- An answer that is correct and incomplete beats one that is complete and wrong.
- Comments, headings and a friendly tone count only once the substance is equal.

The ends of the scale mean *much better*, the middle *about the same*. Add the reason in a sentence or two (key R): say
what decided it. *Neither is an answer* is for pairs that nobody should learn from.
""",
    sources={
        "asked": f"{PAPER}, section 3",
        "completions": f"{PAPER}, section 3",
        "scale": f"{PAPER}, section 3: -3 to 3",
        "outcomes": f"{PAPER}, section 3: 0 is about the same; neither valid is ours, after arXiv:2410.01257",
        "overlap": f"{PAPER}, section 3: three to five",
        "gold_share": f"{PAPER}, section 3: specialists and overlap; {UNREPORTED_GOLD}",
        "pairing": f"{PAPER}, section 3: answers of 17 models",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "scale", "overlap", "pairing"),
    departs=(
        _("The study keeps the three most consistent of up to five people. Here three answer and all are kept."),
        _("The study has a pool of people for each field and language. Here make a project for each."),
        _("The study demands a written reason. Here the guidelines ask for it; a task without one is taken."),
    ),
)
