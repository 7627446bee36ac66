"""A protocol of every kind and what somebody says in it, as a program sends it and as the page's own fields."""

import re
from typing import Any

RATING = {
    "kind": "rating",
    "criteria": [{"key": "quality", "label": "Quality"}, {"key": "rule", "label": "Rule", "scale": "yes_no"}],
    "flags": [{"key": "rude", "label": "Rude"}],
}
SPANS = {"kind": "rating", "criteria": [], "errors": {"categories": [{"key": "fact", "label": "Wrong fact"}]}}
OPTIONS = [{"key": "dry", "label": "Dry"}, {"key": "warm", "label": "Warm"}]
QUESTIONS = [
    {"key": "poem", "label": "A poem?"},
    {"key": "size", "label": "Size", "type": "number", "only_if": [{"question": "poem", "values": ["yes"]}]},
    {"key": "tone", "label": "Tone", "type": "choices", "about": "answer", "options": OPTIONS},
    {"key": "why", "label": "Why?", "type": "text", "about": "answer", "required": False},
]
REWRITTEN = "Like this, and then press the fold."
WRITTEN = "Fold it twice.\n\n- Then *once* more."
# By name: completions that a task shows, and the protocol. A new kind is a line here, in `fields_for`, in `body_for`,
# and in what follows from it in test_kinds.py: YIELDS, PAIRS, BATCHES.
PROTOCOLS: dict[str, tuple[int, dict[str, Any]]] = {
    "comparison": (2, {}),
    "best": (3, {"completions": 3}),
    "best_and_worst": (4, {"completions": 4, "choose": "best_and_worst"}),
    "ranking": (4, {"kind": "ranking"}),
    "rating": (2, RATING | {"completions": 2}),
    "spans": (2, SPANS | {"completions": 2}),
    "questions": (2, {"kind": "questions", "completions": 2, "questions": QUESTIONS}),
    "rewrite": (2, {"kind": "rewrite"}),
    "demonstration": (0, {"kind": "demonstration"}),
    "combined": (3, {"kind": "combined", "completions": 3, "parts": [RATING, {"kind": "ranking"}]}),
    "combined_texts": (2, {"kind": "combined", "parts": [{"kind": "comparison"}, {"kind": "rewrite"}]}),
}


def body_for(name: str, handles: list[str]) -> dict[str, Any]:
    """What a program sends. handles: the best answer's first."""
    best, worst = (handles[0], handles[-1]) if handles else ("", "")
    rated = [
        {"completion": one, "criteria": {"quality": 7 - n, "rule": 1}, "flags": ["rude"] if one == worst else []}
        for n, one in enumerate(handles)
    ]
    error = {"start": 5, "end": 9, "category": "fact", "severity": "minor", "note": "not so"}
    marked = [{"completion": one, "errors": [error] if one == best else []} for one in handles]
    about = [{"completion": best, "said": {"tone": ["dry", "warm"], "why": "It rhymes."}}]
    about += [{"completion": one, "said": {"tone": ["warm"]}} for one in handles[1:]]
    ranking = {"kind": "ranking", "tiers": [[one] for one in handles]}
    rewrite = {"kind": "rewrite", "completion": best, "text": REWRITTEN}
    comparison = {"kind": "comparison", "outcome": "preferred", "preferred": best, "strength": 3}
    bodies: dict[str, dict[str, Any]] = {
        "comparison": comparison,
        "best": {"kind": "comparison", "outcome": "preferred", "preferred": best},
        "best_and_worst": {"kind": "comparison", "outcome": "preferred", "preferred": best, "worst": worst},
        "ranking": ranking,
        "rating": {"kind": "rating", "ratings": rated},
        "spans": {"kind": "rating", "ratings": marked},
        "questions": {"kind": "questions", "task": {"poem": True, "size": 2.5}, "answers": about},
        "rewrite": rewrite,
        "demonstration": {"kind": "demonstration", "text": WRITTEN},
        "combined": {"kind": "combined", "parts": [{"kind": "rating", "ratings": rated}, ranking]},
        "combined_texts": {"kind": "combined", "parts": [comparison, rewrite]},
    }
    return bodies[name] | {"justification": "Said in passing."}


def fields_for(name: str, handles: list[str], html: str) -> dict[str, Any]:
    """The same as the page's own fields."""
    best, worst = (handles[0], handles[-1]) if handles else ("", "")
    tiers = {f"tier.{handle}": str(n) for n, handle in enumerate(handles, 1)}
    rated: dict[str, Any] = {f"flag.{handle}": ["", "rude"] if handle == worst else [""] for handle in handles}
    rated |= {f"value.{handle}.quality": str(7 - n) for n, handle in enumerate(handles)}
    rated |= {f"value.{handle}.rule": "1" for handle in handles}
    spans = {f"errors.{handle}": "5 9 fact minor not so" if handle == best else "" for handle in handles}
    said: dict[str, Any] = {f"say.{handle}.tone": ["warm"] for handle in handles}
    said |= {"say.task.poem": "yes", "say.task.size": "2.5"}
    said |= {f"say.{best}.tone": ["warm", "dry"], f"say.{best}.why": "It rhymes."}
    rewrite = {"of": best, f"text.{best}": REWRITTEN}
    parts = {"parts": re.findall(r'name="parts" value="(\w+)"', html)}
    fields: dict[str, dict[str, Any]] = {
        "comparison": {"choice": f"{best}.3"},
        "best": {"choice": best},
        "best_and_worst": {"choice": best, "worst": worst},
        "ranking": tiers,
        "rating": rated,
        "spans": spans,
        "questions": said,
        "rewrite": rewrite,
        "demonstration": {"text": WRITTEN.replace("\n", "\r\n")},
        "combined": parts
        | {f"ranking.{field}": value for field, value in tiers.items()}
        | {f"rating.{field}": value for field, value in rated.items()},
        "combined_texts": parts
        | {"comparison.choice": f"{best}.3"}
        | {f"rewrite.{field}": value for field, value in rewrite.items()},
    }
    return fields[name] | {"justification": "Said in passing."}
