"""Conversations as they are led: a message is sent, its answers are asked for, one of them goes on.

Every step is one short transaction that holds the person's slot, so that two tabs, a double click or a repeated packet
come one after the other, and the turn's number tells which of them came first. Nothing waits for a checkpoint in here:
answers are a job (`TurnAsked`), and what it brings is written by `actions.replying`.
"""

import asyncio
from random import SystemRandom
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Interval, Uuid, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.conversations import Asked, conversation_in, turns_of
from app.annotations.jobs import TurnAsked
from app.annotations.kinds import BodyForm
from app.annotations.kinds.conversation import going_on, judged
from app.annotations.kinds.writing import is_blank, with_plain_breaks
from app.annotations.tables import Turn
from app.errors import Conflict, Invalid, NotFound
from app.jobs.queue import enqueue
from app.markup import render_markdown
from app.projects.actions import locked
from app.projects.protocols import ConversationProtocol
from app.prompts.actions import place_words
from app.prompts.rules import turn_key, words_of
from app.prompts.tables import Root
from app.tasks.actions.hot import ME, PROJECT, lease_time
from app.tasks.queries import protocol_body
from app.translation import _

FIRST = 10  # priority of jobs that a person waits for
ASKED_AGAIN = 2.0  # seconds between two tries by hand


class NotYours(Conflict):
    code = "lease-lost"
    sentence = _(
        "This task is no longer kept for you: it was open for too long, or you went on with another one. What you "
        "said so far is kept. Open the task again to go on, if nobody else has it."
    )


class TurnTaken(Conflict):
    code = "turn-taken"
    sentence = _("Your conversation went on in another tab. It is shown here as it is now; what you typed is kept.")


class JudgeFirst(Conflict):
    code = "judge-first"
    sentence = _("Choose among the answers to your last message first.")


class NotAnsweredYet(Conflict):
    code = "not-answered-yet"
    sentence = _("The answers to this message have not all come yet.")


class ConversationFull(Conflict):
    code = "conversation-full"
    sentence = _("A conversation here ends after turn {most}. Finish it.")


# The slot that this person holds under this key, and a longer lease: whoever talks is at work. One that has run out
# and that nobody has taken since is still theirs.
HOLD = text("""
    UPDATE slots s SET lease_until = greatest(s.lease_until, now() + :lease)
    FROM tasks t JOIN prompts p ON p.id = t.prompt_id
    WHERE t.public_id = :task AND t.project_id = :project AND s.task_id = t.id AND s.annotator_id = :me
      AND s.state = 1 AND s.shown_key = :key
    RETURNING s.id AS slot_id, t.id AS task_id, s.protocol_id, coalesce(s.tags, p.tags) AS tags
""").bindparams(
    PROJECT,
    ME,
    bindparam("task", type_=Uuid),
    bindparam("key", type_=Uuid),
    bindparam("lease", type_=Interval),
)
EVER_SHOWN = text("SELECT id FROM tasks WHERE public_id = :task AND project_id = :project").bindparams(
    PROJECT, bindparam("task", type_=Uuid)
)
# What was typed for a message that is sent is no draft any more; what else stands in the form stays one.
FORGET_WORDS = text("""
    UPDATE drafts SET body = body - 'words' WHERE slot_id = :slot AND annotator_id = :me
""").bindparams(ME, bindparam("slot", type_=BigInteger))


async def hold(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID) -> Any:
    """The slot that this person has the task in, locked.

    :raises NotFound: no such task. :raises NotYours: the lease is gone.
    """
    values = {"project": project_id, "me": person_id, "task": task}
    held = (await session.execute(HOLD, values | {"key": key, "lease": lease_time()})).one_or_none()
    if held is not None:
        return held
    if await session.scalar(EVER_SHOWN, {"project": project_id, "task": task}) is None:
        raise NotFound
    raise NotYours


async def conversation_of(session: AsyncSession, held: Any) -> ConversationProtocol:
    """:raises NotFound: the task is no conversation."""
    found = conversation_in((await protocol_body(session, held.protocol_id)).of_prompt(held.tags))
    if found is None:
        raise NotFound
    return found


async def send_message(
    session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID, number: int, words: str
) -> None:
    """Say something as the turn `number` of one's conversation; its answers are asked for. The same again changes
    nothing. A turn that got no answers and is not tried any more may be said in other words.

    :raises NotYours: the lease is gone. :raises TurnTaken: the conversation has gone on otherwise meanwhile.
    :raises JudgeFirst: the last turn waits for a judgement. :raises ConversationFull: it has all its turns.
    """
    words = with_plain_breaks(words)
    root, html = await asyncio.to_thread(lambda: (turn_key(words_of(words)), render_markdown(words)))
    held = await hold(session, project_id, person_id, task, key)
    asked = await conversation_of(session, held)
    if is_blank(words):
        raise Invalid(field="words", reason=_("nothing is written yet"))
    turns = await turns_of(session, held.task_id, person_id)
    if 1 <= number <= len(turns):
        await said_before(session, turns[number - 1], words, html, root, is_last=number == len(turns))
        return
    if number != len(turns) + 1:
        raise TurnTaken
    if turns and turns[-1].turn.body is None:
        raise JudgeFirst
    if len(turns) >= asked.most:
        raise ConversationFull(most=asked.most)
    wanted = asked.answers_at(number)
    turn = Turn(
        project_id=project_id,
        task_id=held.task_id,
        annotator_id=person_id,
        protocol_id=held.protocol_id,
        number=number,
        root=root if number == 1 else None,
        words=words,
        html=html,
        wanted=wanted,
        sides=SystemRandom().sample(range(wanted), wanted),
    )
    session.add(turn)
    await session.flush()
    await session.execute(FORGET_WORDS, {"slot": held.slot_id, "me": person_id})
    await enqueue(session, TurnAsked(turn_id=turn.id), priority=FIRST)


async def said_before(session: AsyncSession, there: Asked, words: str, html: str, root: str, *, is_last: bool) -> None:
    """The turn is there: the same words are a repetition, others only take the place of words that nobody answers."""
    turn = there.turn
    if turn.words != words:
        if not (turn.is_stuck and is_last) or any(reply.row.parts is not None for reply in there.replies):
            raise TurnTaken
        turn.words, turn.html = words, html
        turn.root = root if turn.number == 1 else None
    if turn.is_stuck:
        await ask_anew(session, turn)


async def ask_anew(session: AsyncSession, turn: Turn) -> None:
    turn.is_stuck, turn.trouble, turn.asked_at = False, None, func.now()
    await session.flush()
    await enqueue(session, TurnAsked(turn_id=turn.id), priority=FIRST)


async def place_openings(session: AsyncSession, project_id: int) -> None:
    """Roots for conversations of the project whose first words have none yet. Not while they are led: placing waits for
    imports, and a message waits for nobody; what reads roots calls this before."""
    await locked(session, project_id)
    has_one = select(Root.id).where(Root.project_id == project_id, Root.key == Turn.root).exists()
    asked = select(Turn.root, Turn.words).where(Turn.project_id == project_id, Turn.number == 1, ~has_one)
    await place_words(session, project_id, {row.root: row.words for row in await session.execute(asked)})


async def ask_again(session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID, number: int) -> None:
    """Ask for the answers of the last turn now, by hand: a job that waits for its next try is not waited for. Safe to
    press again and again: whoever brings answers second finds them there.

    :raises NotYours: the lease is gone. :raises NotFound: no such turn.
    """
    held = await hold(session, project_id, person_id, task, key)
    turn = await turn_at(session, held, person_id, number)
    if turn.is_answered or (turn.age < ASKED_AGAIN and not turn.turn.is_stuck):
        return
    await ask_anew(session, turn.turn)


async def judge_turn(
    session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID, number: int, body: BodyForm
) -> None:
    """Say which answer of a turn is the best, or what each is worth; the conversation goes on with it. The same again
    changes nothing.

    :raises NotYours: the lease is gone. :raises NotFound: no such turn. :raises NotAnsweredYet: answers are missing.
    :raises TurnTaken: something else was said about it before. :raises Invalid: the body does not fit.
    """
    held = await hold(session, project_id, person_id, task, key)
    there = await turn_at(session, held, person_id, number)
    if not there.is_answered:
        raise NotAnsweredYet
    turn = there.turn
    asked = conversation_in(await protocol_body(session, turn.protocol_id))
    assert asked is not None, "turns are led under a conversation"
    said = judged(asked, body, {handle: number for number, handle in enumerate(there.handles())})[0]
    kept = said.model_dump(mode="json")
    if turn.body is not None:
        if turn.body != kept:
            raise TurnTaken
        return
    turn.body, turn.chosen, turn.judged_at = kept, going_on(said, turn.sides), func.now()
    await session.flush()


async def judge_anew(
    session: AsyncSession, project_id: int, person_id: int, task: UUID, key: UUID, number: int
) -> None:
    """Take back what was said about the answers of the last turn, before another message is sent: they are put to the
    person again. Where nothing is said about them, nothing changes.

    :raises NotYours: the lease is gone. :raises NotFound: no such turn. :raises TurnTaken: the conversation went on.
    """
    held = await hold(session, project_id, person_id, task, key)
    turns = await turns_of(session, held.task_id, person_id)
    if not 1 <= number <= len(turns):
        raise NotFound
    if number != len(turns):
        raise TurnTaken
    turn = turns[-1].turn
    turn.body = turn.chosen = turn.judged_at = None
    await session.flush()


async def turn_at(session: AsyncSession, held: Any, person_id: int, number: int) -> Asked:
    """:raises NotFound: the conversation has no such turn."""
    turns = await turns_of(session, held.task_id, person_id, until=number)
    if not turns or turns[-1].turn.number != number:
        raise NotFound
    return turns[-1]
