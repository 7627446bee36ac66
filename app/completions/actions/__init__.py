"""What happens to completions: asked for, written as they come, brought by files."""

from app.completions.actions.asking import (
    NothingToAsk,
    ask,
    cancel_generation,
    request_generation,
    top_up,
    top_up_if_low,
)
from app.completions.actions.importing import import_completions, take_in_settled
from app.completions.actions.writing import Answer, Order, note_failure, take_order, write_answers

__all__ = [
    "Answer",
    "NothingToAsk",
    "Order",
    "ask",
    "cancel_generation",
    "import_completions",
    "note_failure",
    "request_generation",
    "take_in_settled",
    "take_order",
    "top_up",
    "top_up_if_low",
    "write_answers",
]
