"""What a protocol looks like on the annotate page, with made-up texts: for previews, and for trying it."""

from typing import Any

from app.annotations.kinds.base import LETTERS, OnScreen
from app.annotations.kinds.union import blocks_of
from app.markup import render_markdown
from app.projects.protocols import ProtocolBody
from app.projects.purposes import Example
from app.translation import _


def sample_answers(protocol: ProtocolBody, example: Example) -> list[OnScreen]:
    """As many answers as a new task of this protocol shows. Their handles are their numbers."""
    texts = example.some(protocol.completions or 0)
    return [OnScreen(LETTERS[n], str(n), render_markdown(text), text) for n, text in enumerate(texts)]


def sample(protocol: ProtocolBody, example: Example) -> dict[str, Any]:
    """What templates/annotations/_sample.html draws."""
    answers = sample_answers(protocol, example)
    title, blocks = blocks_of(protocol, answers)
    return {
        "title": title,
        "blocks": blocks,
        "answers": answers,
        "prompt": render_markdown(example.prompt),
        "said": {},
        "answer_word": _("Answer"),
        "tie_word": _("tie"),
    }
