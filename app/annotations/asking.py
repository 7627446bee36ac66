"""What every page with a task's question on it needs, wherever it stands."""

from collections.abc import Mapping
from typing import Any

from app.annotations.kinds import OnScreen, blocks_of
from app.projects.protocols import ProtocolBody
from app.translation import _

Screen = dict[str, Any]


def asking(
    protocol: ProtocolBody,
    answers: list[OnScreen],
    said: dict[str, list[str]],
    preferences: Mapping[str, Any] | None = None,
) -> Screen:
    """What every screen with a question on it needs. said: values of the form's fields. preferences: of the person;
    those who choose first and send with Enter are shown no button that does both."""
    title, blocks = blocks_of(protocol, answers)
    if preferences and preferences.get("confirms"):
        blocks = [block | {"decides": False, "decides_last": False} for block in blocks]
    return {
        "kind": protocol.kind,
        "title": title,
        "blocks": blocks,
        "answers": answers,
        "said": said,
        "typed": last(said, "justification"),
    } | words_of_page()


def words_of_page() -> Screen:
    """Words that stand in loops, translated once."""
    return {
        "answer_word": _("Answer"),
        "tie_word": _("tie"),
        "roles": {"user": _("Person"), "assistant": _("Assistant"), "system": _("Setting")},
    }


def last(said: dict[str, list[str]], name: str) -> str:
    return (said.get(name) or [""])[-1]
