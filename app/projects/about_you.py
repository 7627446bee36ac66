"""The form about people themselves: a project's own questions, of which none must be answered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.projects.protocols import QuestionsProtocol, protocol_of
from app.projects.protocols.editing import done
from app.projects.protocols.outline import KINDS, Entry, Tree, outline, tree_of

ASKED = ("key", "label", "hint", "type", "options", "points", "low", "high", "least", "most", "whole", "longest")
START: Tree = {
    "kind": "questions",
    "questions": [
        {
            "key": "age",
            "label": "How old are you?",
            "type": "choice",
            "options": [
                {"key": "under_25", "label": "under 25"},
                {"key": "from_25_to_44", "label": "25 to 44"},
                {"key": "from_45_to_64", "label": "45 to 64"},
                {"key": "from_65", "label": "65 or more"},
            ],
        },
        {"key": "first_language", "label": "Which language did you learn first?", "type": "text", "longest": 100},
    ],
}


def form_of(tree: Mapping[str, Any]) -> QuestionsProtocol:
    """The form that a tree says: about the person alone, asked of everybody, each question to be skipped at will.

    :raises ValidationError: it cannot be asked.
    """
    plain = {"about": "task", "required": False, "tags": [], "only_if": []}
    questions = [one | plain for one in tree.get("questions", [])]
    form = protocol_of({"kind": "questions", "completions": 0, "questions": questions})
    assert isinstance(form, QuestionsProtocol)
    return form


def edited(fields: Mapping[str, str]) -> tuple[Tree, str]:
    """What the browser's fields say after the button that was pressed (`do`), and the field that the hand goes to."""
    return done(tree_of(fields, "questions"), fields.get("do", ""))


def entries_of(tree: Tree) -> list[Entry]:
    """The editor's fields: questions only, without what makes no sense about a person."""
    questions = next(one for one in outline(KINDS["questions"], tree) if one.own == "questions")
    return [_only(questions)]


def _only(questions: Entry) -> Entry:
    rows = (replace(row, inside=tuple(one for one in row.inside if one.own in ASKED)) for row in questions.inside)
    return replace(questions, inside=tuple(rows))
