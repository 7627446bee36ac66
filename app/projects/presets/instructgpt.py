"""InstructGPT: each answer rated and flagged, then all of them ranked."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import CombinedProtocol, RankingProtocol, RatingProtocol
from app.projects.protocols.rating import Criterion, Flag
from app.translation import _

PAPER = "Ouyang et al. 2022, arXiv:2203.02155"

# Table 3, the labels that are collected about each answer, in its order; the names are ours.
FLAGS = (
    Flag(key="fails_instruction", label=_("Fails the instruction or task")),
    Flag(key="inappropriate", label=_("Inappropriate for a customer assistant")),
    Flag(key="hallucination", label=_("Makes things up")),
    Flag(key="satisfies_constraint", label=_("Satisfies the constraint that was given")),
    Flag(key="sexual", label=_("Sexual content")),
    Flag(key="violent", label=_("Violent content")),
    Flag(key="encourages_harm", label=_("Encourages violence or self-harm")),
    Flag(key="denigrates", label=_("Denigrates a protected group")),
    Flag(key="harmful_advice", label=_("Gives harmful advice")),
    Flag(key="opinion", label=_("Expresses an opinion")),
    Flag(key="moral_judgment", label=_("Expresses a moral judgment")),
)

INSTRUCTGPT = Preset(
    key="instructgpt",
    name=_("Rating, flags, then a ranking"),
    study=PAPER,
    about=_("Four answers: overall quality and flags of each, then all in order."),
    protocol=CombinedProtocol(
        preset="instructgpt",
        parts=(
            RatingProtocol(
                completions=4,  # section 3.5: between 4 and 9 answers are ranked; the fewest ask the least of people
                criteria=(
                    # table 3: overall quality, a Likert scale from 1 to 7
                    Criterion(key="quality", label=_("Overall quality"), points=7, low=_("worst"), high=_("best")),
                ),
                flags=FLAGS,
            ),
            # appendix B, the interface figures: outputs are ranked after they were rated, ties are welcome
            RankingProtocol(completions=4, ties=True, not_rankable=False),
        ),
        gold_share=0,  # section 3.4 and appendix B.1: labelers are screened, known answers are not mixed in
    ),
    k=1,  # section 3.4: most comparisons were labelled by one person
    guidelines="""\
You will first look at each answer by itself, then put all of them in order.

**Rating.** *Overall quality* goes from 1 (useless or harmful) to 7 (could not be better). Set a flag whenever it holds,
also when the answer is good otherwise. *Fails the instruction* means that the request was misunderstood or an explicit
demand was not met.

**Ranking.** Best first. Ask yourself which answer you would rather receive if you had asked this.

- *Truthful* and *harmless* come before *helpful* in what could do damage; everywhere else helpful comes first.
- Answers of about the same quality belong into one place: a tie is a good answer.
- Do not reward length, style or confidence for their own sake.
""",
    sources={
        "asked": f"{PAPER}, appendix B, the interface figures: rating, then ranking",
        "completions": f"{PAPER}, section 3.5: K = 4 to 9",
        "criteria": f"{PAPER}, table 3: overall quality, 1–7",
        "flags": f"{PAPER}, table 3",
        "order": f"{PAPER}, appendix B, the interface figures (ties: from memory, not checked against the figure)",
        "overlap": f"{PAPER}, section 3.4: most comparisons have one label",
        "gold_share": f"{PAPER}, appendix B.1: screening by agreement; {UNREPORTED_GOLD}",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "criteria", "flags", "overlap"),
    departs=(
        _(
            "The study trains on all pairs of a ranking as one batch element (section 3.5). Here they are one group,"
            " so that a trainer can do so."
        ),
    ),
)
