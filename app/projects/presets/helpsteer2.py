"""HelpSteer2 and HelpSteer2-Preference: five attributes of each answer, then a preference."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, RatingProtocol
from app.projects.protocols.rating import Criterion
from app.translation import _

PAPER = "Wang et al. 2024, arXiv:2406.08673"
PREFERENCE = "Wang et al. 2024, arXiv:2410.01257"

# HelpSteer2, section 2 and its guidelines in the appendix: five attributes, each from 0 to 4.
ATTRIBUTES = (
    Criterion(key="helpfulness", label=_("Helpfulness"), scale="grade", low=_("not at all"), high=_("perfectly")),
    Criterion(key="correctness", label=_("Correctness"), scale="grade", low=_("wrong"), high=_("all correct")),
    Criterion(key="coherence", label=_("Coherence"), scale="grade", low=_("confused"), high=_("clear throughout")),
    Criterion(key="complexity", label=_("Complexity"), scale="grade", low=_("basic"), high=_("expert")),
    Criterion(key="verbosity", label=_("Verbosity"), scale="grade", low=_("terse"), high=_("verbose")),
)

HELPSTEER2 = Preset(
    key="helpsteer2",
    name=_("Five attributes, then a preference"),
    study=f"{PAPER}; {PREFERENCE}",
    about=_("Two answers: five attributes from 0 to 4 each, then which is better, by three people."),
    protocol=CombinedProtocol(
        preset="helpsteer2",
        parts=(
            RatingProtocol(completions=2, criteria=ATTRIBUTES),
            ComparisonProtocol(
                completions=2,  # HelpSteer2, section 2: one person rates both answers to a prompt, one after the other
                scale=6,  # HelpSteer2-Preference: -3, -2, -1, 1, 2, 3
                ties=False,  # HelpSteer2-Preference: there is no 0
                both_bad=False,
                neither_valid=True,  # HelpSteer2-Preference: -100, neither answer is valid
            ),
        ),
        gold_share=0,  # HelpSteer2, section 2: quality comes from overlap and at least two reviews
    ),
    k=3,  # HelpSteer2, section 2: at least three people, two more where they are far apart
    guidelines="""\
Rate both answers, one after the other, before you compare them. Each attribute goes from 0 to 4.

- **Helpfulness**: how well the request as a whole is met. This is the attribute that counts most.
- **Correctness**: what it says is true and nothing that is needed is missing.
- **Coherence**: it is clear, and does not contradict itself.
- **Complexity**: how much knowledge it takes to write it. Neither high nor low is good by itself.
- **Verbosity**: how much it says for what was asked. Neither high nor low is good by itself.

Then say which one is better, and add the reason in a sentence or two (key R): a reason that names the difference is
worth more than one that praises. *Neither is an answer* is for pairs that nobody should learn from.
""",
    sources={
        "asked": f"{PAPER}, section 2; then {PREFERENCE}, its section on data collection",
        "completions": f"{PAPER}, section 2",
        "criteria": f"{PAPER}, section 2: five attributes, 0–4",
        "scale": f"{PREFERENCE}, data collection: -3, -2, -1, 1, 2, 3",
        "outcomes": f"{PREFERENCE}, data collection: -100 is neither valid, there is no 0",
        "overlap": f"{PAPER}, section 2: at least three",
        "gold_share": f"{PAPER}, section 2: overlap and reviews; {UNREPORTED_GOLD}",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "criteria", "scale", "outcomes", "overlap"),
    departs=(
        _(
            "The study adds two people where helpfulness differs by more than 2, and averages the three closest. Here"
            " three answer, every answer is kept, and weights are chosen when a dataset is frozen."
        ),
        _("The study demands a written reason. Here the guidelines ask for it; a task without one is taken."),
    ),
)
