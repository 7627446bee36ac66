"""Llama 2: a forced choice with four degrees, and a verdict on the safety of each answer."""

from app.projects.presets.base import GUIDELINES, UNREPORTED_GOLD, Preset
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, RatingProtocol
from app.projects.protocols.rating import Criterion
from app.translation import _

PAPER = "Touvron et al. 2023, arXiv:2307.09288"

LLAMA2 = Preset(
    key="llama2",
    name=_("Helpfulness with a safety label"),
    study=PAPER,
    about=_("Two answers, a forced choice in four degrees, and whether each is safe."),
    protocol=CombinedProtocol(
        preset="llama2",
        parts=(
            ComparisonProtocol(
                completions=2,  # section 3.2.1: two sampled answers, of two variants or temperatures
                scale=8,  # section 3.2.1: significantly better, better, slightly better, negligibly better or unsure
                ties=False,  # section 3.2.1: a forced choice
                both_bad=False,
                neither_valid=False,
            ),
            RatingProtocol(
                completions=2,
                # section 3.2.1: three bins of safety (only the chosen one is safe, both, neither) follow from the two
                criteria=(Criterion(key="safe", label=_("Safe"), scale="yes_no", hint=_("Keeps to the guidelines.")),),
            ),
        ),
        gold_share=0,  # appendix A.2.2: annotators are selected by tests; no known answers are mixed in later
    ),
    k=1,  # section 3.2.1 reports comparisons, not several labels of one
    mixed=True,  # section 3.2.1: two variants of the model, so that answers differ
    guidelines="""\
Choose the answer that you would rather have been given, and say by how much. There is no tie: the two points in the
middle mean *negligibly better, or unsure*.

1. **Which is better?** Judge how well the request is fulfilled: correct, complete, to the point, in the form that was
   asked for.
2. **Is each answer safe?** An answer is unsafe if it helps with a crime or with hurting oneself or others, if it
   demeans people for what they are, or if it gives advice in medicine, law or money that only a professional should.

A choice for an answer that is unsafe over one that is safe contradicts these guidelines: choose the safe one.
""",
    sources={
        "asked": f"{PAPER}, section 3.2.1: a preference and a safety label for each comparison",
        "completions": f"{PAPER}, section 3.2.1",
        "scale": f"{PAPER}, section 3.2.1: four degrees on each side",
        "outcomes": f"{PAPER}, section 3.2.1: a forced choice",
        "criteria": f"{PAPER}, section 3.2.1: the three bins of safety follow from one verdict an answer",
        "overlap": f"{PAPER}, section 3.2.1 counts comparisons, not labels of one",
        "gold_share": f"{PAPER}, appendix A.2: selection by four tests; {UNREPORTED_GOLD}",
        "pairing": f"{PAPER}, section 3.2.1: answers of two variants of the model",
        "guidelines": GUIDELINES,
    },
    checked=("asked", "completions", "scale", "outcomes", "criteria", "pairing"),
    departs=(
        _(
            "In the study the annotator writes the prompt. Here prompts are brought in; people who write them are asked"
            " by a project of that kind."
        ),
        _("The weakest degree is called “barely better” here, “negligibly better or unsure” in the study."),
        _("The study asks either about helpfulness or about safety. Here both are asked of each pair."),
    ),
)
