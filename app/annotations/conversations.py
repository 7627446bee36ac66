"""Questions about conversations: their turns as they are kept, and as a person sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased

from app.annotations.kinds import LETTERS, KeptReply, KeptTurn, Led, OnScreen
from app.annotations.kinds.conversation import JUDGEMENTS, said_of_turn
from app.annotations.kinds.union import block_of
from app.annotations.tables import Trouble, Turn, TurnAnswer
from app.checkpoints.tables import Checkpoint
from app.errors import NotFound
from app.keys import key_for
from app.projects.protocols import CombinedProtocol, ConversationProtocol, ProtocolBody
from app.prompts.rules import text_of
from app.prompts.tables import Prompt, Root, Use
from app.tasks.queries import protocol_body
from app.tasks.rules import handle_of
from app.tasks.tables import Slot, SlotState, Task
from app.translation import _

LATE = 20.0  # seconds of silence, after which the page says that this takes longer than usual
TROUBLES = {
    Trouble.nobody: _("No assistant is set up for this project just now."),
    Trouble.unreachable: _("The assistant cannot be reached just now."),
    Trouble.slow: _("The assistant did not answer in time."),
    Trouble.busy: _("The assistant has too much to do just now."),
    Trouble.failing: _("The assistant failed to answer."),
    Trouble.unanswerable: _("The assistant cannot answer this: the conversation may be too long for it."),
}


@dataclass(frozen=True)
class Reply:
    """One answer of a turn as it is kept, with the outside id and the names of the checkpoint that is asked for it."""

    row: TurnAnswer
    checkpoint: UUID
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        return text_of(self.row.parts or ())


@dataclass(frozen=True)
class Asked:
    """A turn with its answers, in their own order. age: seconds since its answers were last asked for."""

    turn: Turn
    age: float
    replies: list[Reply] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Whether all answers are there: only then are they shown."""
        return len(self.replies) == self.turn.wanted and all(reply.row.parts is not None for reply in self.replies)

    @property
    def went_on(self) -> str | None:
        """Text of the answer that went on."""
        return None if self.turn.chosen is None else self.replies[self.turn.chosen].text

    def handles(self) -> list[str]:
        """The names of its answers in this conversation, in their own order."""
        secret = key_for("turns")
        return [handle_of(secret, self.turn.id, number) for number in range(self.turn.wanted)]


async def turns_of(session: AsyncSession, task_id: int, person_id: int, *, until: int | None = None) -> list[Asked]:
    """A person's conversation about a task (inside ids), in its order. until: number of the last turn wanted."""
    asked = select(Turn, func.extract("epoch", func.now() - Turn.asked_at)).order_by(Turn.number)
    asked = asked.where(Turn.task_id == task_id, Turn.annotator_id == person_id)
    if until is not None:
        asked = asked.where(Turn.number <= until)
    rows = await session.execute(asked.execution_options(populate_existing=True))
    found = {turn.id: Asked(turn, float(age)) for turn, age in rows}
    replies = select(TurnAnswer, Checkpoint).join(Checkpoint, Checkpoint.id == TurnAnswer.checkpoint_id)
    replies = replies.where(TurnAnswer.turn_id.in_(found)).order_by(TurnAnswer.turn_id, TurnAnswer.number)
    if found:
        for row, checkpoint in await session.execute(replies.execution_options(populate_existing=True)):
            found[row.turn_id].replies.append(Reply(row, checkpoint.public_id, tuple(checkpoint.names)))
    return list(found.values())


def conversation_in(protocol: ProtocolBody) -> ConversationProtocol | None:
    """The part of a protocol that is a conversation, if one is."""
    parts = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    return next((part for part in parts if isinstance(part, ConversationProtocol)), None)


async def led_by(session: AsyncSession, task_id: int, person_id: int, protocol: ProtocolBody) -> Led:
    """The conversation as its annotation keeps it."""
    turns = await turns_of(session, task_id, person_id)
    asked = conversation_in(protocol)
    return Led(
        root=(turns[0].turn.root or "") if turns else "",
        system=asked.system if asked else "",
        turns=tuple([await kept_turn(session, one) for one in turns if one.turn.body is not None]),
        is_open=bool(turns) and turns[-1].turn.body is None and turns[-1].is_answered,
    )


async def kept_turn(session: AsyncSession, one: Asked) -> KeptTurn:
    asked = conversation_in(await protocol_body(session, one.turn.protocol_id))
    assert asked is not None, "turns are judged under a conversation"
    assert one.turn.body is not None, "it is judged"
    return KeptTurn(
        id=str(one.turn.public_id),
        words=one.turn.words,
        replies=tuple(
            KeptReply(id=str(reply.row.public_id), checkpoint=str(reply.checkpoint), text=reply.text)
            for reply in one.replies
        ),
        sides=tuple(one.turn.sides),
        asked=asked.asked_of(one.turn.wanted).as_json(),
        said=one.turn.body,
        chosen=one.turn.chosen,
    )


# ---- as a person sees it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShownTurn:
    """answers: in the order of the screen, once all are there. chosen: place of the one that went on; None: none was
    good, or nothing is said yet. said: the judgement in words."""

    number: int
    words: str
    html: str
    wanted: int
    answers: list[OnScreen]
    cut_off: list[bool]
    chosen: int | None
    said: str


@dataclass(frozen=True)
class ShownConversation:
    """state: `write`, the next message may be written; `waiting`, answers are on their way; `choose`, they are there;
    `stuck`, they are not asked for again by themselves; `full`, no further turn; `over`, it is being looked at only.

    number: of the turn that is written, waited for or judged. judged: how many are. trouble: what is the matter, in
    words. block: what the template of the judgement's kind needs. words: what stands in the place for writing.
    """

    state: str
    number: int
    judged: int
    least: int
    most: int
    turns: list[ShownTurn]
    trouble: str = ""
    block: dict[str, Any] | None = None
    words: str = ""

    @property
    def mark(self) -> str:
        """The same as long as nothing that the person sees has changed."""
        return f"{self.number}.{self.state}.{self.trouble}"

    @property
    def may_end(self) -> bool:
        return self.state != "choose" and self.judged >= self.least


async def shown_conversation(
    session: AsyncSession, task_id: int, person_id: int, protocol: ProtocolBody, *, is_over: bool = False
) -> ShownConversation:
    """What a person sees of their conversation about a task (inside ids). is_over: it can no longer go on."""
    asked = conversation_in(protocol)
    assert asked is not None, "the task is a conversation"
    turns = await turns_of(session, task_id, person_id)
    shown = [await shown_turn(session, one) for one in turns]
    judged = sum(one.turn.body is not None for one in turns)
    last = turns[-1] if turns else None
    is_waiting = last is not None and last.turn.body is None
    state, trouble = ("over", "") if is_over else state_of(last, asked) if is_waiting else ("write", "")
    if state == "write" and judged >= asked.most:
        state = "full"
    block = None
    if last is not None and state == "choose":
        block = await block_of_turn(session, last, shown[-1].answers)
    number = len(turns) + (0 if is_waiting else 1)
    words = last.turn.words if last is not None and state == "stuck" else ""
    return ShownConversation(state, number, judged, asked.least, asked.most, shown, trouble, block, words)


async def conversation_shown(session: AsyncSession, project_id: int, person_id: int, task: UUID) -> ShownConversation:
    """A person's conversation about a task that they hold or have held.

    :raises NotFound: no such task of theirs, or it is no conversation.
    """
    tags = func.coalesce(Slot.tags, Prompt.tags).label("tags")
    mine = select(Slot.task_id, Slot.protocol_id, Slot.state, tags).join(Task, Task.id == Slot.task_id)
    mine = mine.join(Prompt, Prompt.id == Task.prompt_id)
    mine = mine.where(Task.public_id == task, Task.project_id == project_id, Slot.annotator_id == person_id)
    found = (await session.execute(mine)).one_or_none()
    protocol = None
    if found is not None and found.protocol_id is not None:
        protocol = (await protocol_body(session, found.protocol_id)).of_prompt(found.tags)
    if found is None or protocol is None or conversation_in(protocol) is None:
        raise NotFound
    is_over = found.state != SlotState.leased
    return await shown_conversation(session, found.task_id, person_id, protocol, is_over=is_over)


async def turns_shown(session: AsyncSession, task_id: int, person_id: int, at: datetime) -> list[ShownTurn]:
    """The turns that a person's conversation about a task (inside ids) had at a moment, as they stood before them."""
    turns = await turns_of(session, task_id, person_id)
    return [await shown_turn(session, one) for one in turns if one.turn.created_at <= at]


def state_of(last: Asked | None, asked: ConversationProtocol) -> tuple[str, str]:
    """State and trouble of a conversation whose last turn is not judged."""
    if last is None or last.is_answered:
        return "choose", ""
    if last.turn.is_stuck:
        return "stuck", _(TROUBLES[last.turn.trouble or Trouble.failing])
    if last.turn.trouble is not None:
        return "waiting", _(TROUBLES[last.turn.trouble])
    return "waiting", _(
        "This takes longer than usual: the assistant may be busy, or stopped."
    ) if last.age > LATE else ""


async def shown_turn(session: AsyncSession, one: Asked) -> ShownTurn:
    turn, handles = one.turn, one.handles()
    in_order = [(handles[number], one.replies[number]) for number in (turn.sides if one.is_answered else ())]
    answers = [
        OnScreen(LETTERS[place], handle, reply.row.html or "", reply.text, names=reply.names)
        for place, (handle, reply) in enumerate(in_order)
    ]
    said = ""
    if turn.body is not None:
        letters = {number: LETTERS[place] for place, number in enumerate(turn.sides)}
        asked = conversation_in(await protocol_body(session, turn.protocol_id))
        by_number = [letters[number] for number in sorted(letters)]
        said = said_of_turn(turn.body).words(by_number, asked.asked_of(turn.wanted)) if asked else ""  # type: ignore[arg-type]
    return ShownTurn(
        number=turn.number,
        words=turn.words,
        html=turn.html,
        wanted=turn.wanted,
        answers=answers,
        cut_off=[one.replies[number].row.finish_reason == "length" for number in (turn.sides if answers else ())],
        chosen=None if turn.chosen is None else turn.sides.index(turn.chosen),
        said=said,
    )


async def block_of_turn(session: AsyncSession, one: Asked, answers: Sequence[OnScreen]) -> dict[str, Any]:
    asked = conversation_in(await protocol_body(session, one.turn.protocol_id))
    assert asked is not None, "turns are judged under a conversation"
    return block_of_answers(asked, answers)


def block_of_answers(asked: ConversationProtocol, answers: Sequence[OnScreen]) -> dict[str, Any]:
    """What the template of the kind that judges a turn needs."""
    protocol = asked.asked_of(len(answers))
    return block_of(protocol, "") | JUDGEMENTS[protocol.kind].screen(protocol, answers, is_alone=True)  # type: ignore[arg-type]


# ---- for datasets --------------------------------------------------------------------------------------------------


async def roots_of_conversations(connection: AsyncConnection, project_id: int) -> dict[str, tuple[Use, str, str]]:
    """Of roots that conversations of the project begin under: use, and the component as it is now, by the outside id of
    the root that names it and by its key."""
    begun = select(Turn.root).where(Turn.project_id == project_id, Turn.number == 1)
    named = aliased(Root)
    asked = select(Root.key, Root.use, named.public_id, Root.component)
    asked = asked.join(named, and_(named.project_id == Root.project_id, named.key == Root.component))
    found = await connection.execute(asked.where(Root.project_id == project_id, Root.key.in_(begun)))
    return {row.key: (row.use, str(row.public_id), row.component) for row in found}
