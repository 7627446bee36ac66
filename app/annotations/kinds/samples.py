"""What a protocol looks like on the annotate page, with made-up texts: for previews, and for trying it."""

from typing import Any

from app.annotations.conversations import ShownConversation, ShownTurn, block_of_answers, conversation_in
from app.annotations.kinds.base import LETTERS, OnScreen
from app.annotations.kinds.conversation import KeptTurn, Led
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
        "prompt": sample_prompt(protocol, example),
        "said": {},
        "answer_word": _("Answer"),
        "tie_word": _("tie"),
        "roles": {"user": _("Person"), "assistant": _("Assistant")},
        "talk": sample_conversation(protocol, example),
    }


def sample_prompt(protocol: ProtocolBody, example: Example) -> str:
    """What stands above the answers, rendered: the card, where people talk themselves."""
    asked = conversation_in(protocol)
    return render_markdown(asked.cards[0].markdown if asked else example.prompt)


def sample_conversation(protocol: ProtocolBody, example: Example) -> ShownConversation | None:
    """A first turn whose answers are to be judged, where the protocol is a conversation."""
    asked = conversation_in(protocol)
    if asked is None:
        return None
    texts = example.some(asked.answers_at(1))
    answers = [OnScreen(LETTERS[n], str(n), render_markdown(text), text) for n, text in enumerate(texts)]
    html = render_markdown(example.prompt)
    turn = ShownTurn(1, example.prompt, html, len(answers), answers, [False] * len(answers), None, "")
    block = block_of_answers(asked, answers)
    return ShownConversation("choose", 1, asked.least, asked.least, asked.most, [turn], block=block)


def sample_led(protocol: ProtocolBody) -> Led | None:
    """What such a conversation would have come to, for trying the form that ends it."""
    asked = conversation_in(protocol)
    if asked is None:
        return None
    said = {"kind": "comparison", "outcome": "tie"}
    turn = KeptTurn(id="", words="", replies=(), sides=(), asked={}, said=said, chosen=None)
    return Led(root="", system="", turns=(turn,) * asked.least, is_open=False)
