"""What a file says about a task, rendered and hashed, before anything of it is stored. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.completions.rules import flaw_of
from app.datasets.reading import TaskRead
from app.datasets.rules import Line
from app.media.drawing import draw_parts
from app.media.rules import Known, filled, is_medium, mentions, references
from app.prompts.actions.placing import Read as ReadPrompt
from app.prompts.actions.placing import ready
from app.prompts.rules import content_hash, text_of


@dataclass(frozen=True)
class ReadyAnswer:
    """A completion of a file as it will be stored."""

    id: str
    checkpoint: str | None
    author: str | None
    parts: list[Line]
    hash: bytes
    html: str
    flaw: str | None


@dataclass(frozen=True)
class Ready:
    """A task of a file with everything rendered; without prompt where it cannot come in."""

    task: TaskRead
    prompt: ReadPrompt | None = None
    answers: list[ReadyAnswer] = field(default_factory=list)


def media_of(task: TaskRead) -> set[str]:
    """Hashes of the media that a task shows."""
    parts = [part for one in (*task.prompt.messages, *task.answers) for part in one["parts"]]
    return {*references(parts), *mentions(parts)}


def made_ready(task: TaskRead, known: Mapping[str, Known], address: str) -> Ready:
    """:raises CannotStand: a medium is not here."""
    messages = [message | {"parts": filled(message["parts"], known)} for message in task.prompt.messages]
    html = [draw_parts(message["parts"], known, address) for message in messages]
    prompt = ready(0, task.prompt.model_copy(update={"messages": messages}), html)
    asked = text_of(messages[-1]["parts"])
    answers = [_ready_answer(answer, filled(answer["parts"], known), asked, known, address) for answer in task.answers]
    return Ready(task, prompt, answers)


def _ready_answer(answer: Line, parts: list[Line], asked: str, known: Mapping[str, Known], address: str) -> ReadyAnswer:
    flaw = None if any(map(is_medium, parts)) else flaw_of(text_of(parts), asked)
    html = draw_parts(parts, known, address)
    named = (str(answer["id"]), answer.get("checkpoint"), answer.get("author"))
    return ReadyAnswer(*named, parts, content_hash(parts), html, flaw)
