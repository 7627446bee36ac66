"""What happens at the playground: checkpoints are asked and answer, a pair goes to annotators, all is forgotten."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.checkpoints.actions import must_answer
from app.checkpoints.queries import base_of, checkpoint_of
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState
from app.completions.blinding import blinded
from app.completions.rules import Sampling, flaw_of
from app.completions.tables import Completion
from app.errors import Conflict, Invalid
from app.jobs.queue import enqueue
from app.lines import storable
from app.markup import render_markdown
from app.playground.forms import BEST_OF, PlayForm
from app.playground.jobs import PlayAsked
from app.playground.queries import Given, awaited_by, given_in
from app.playground.rules import Result
from app.playground.tables import Play, PlayAnswer
from app.projects.queries import default_batch, protocol_of_batch
from app.prompts.actions import keep_written
from app.prompts.queries import prompt_of, same_prompts
from app.prompts.rules import content_hash, of_user, text_of
from app.prompts.tables import Prompt, Use
from app.tasks.actions import NewTask, open_tasks
from app.tasks.actions.ending import pass_by
from app.tasks.actions.making import room_in
from app.tasks.actions.wishing import wishes_of
from app.tasks.tables import Task
from app.translation import _

KEPT = timedelta(days=7)
MOST_AWAITED = 12  # answers of one person: live conversations wait in the same line
MOST_REASON = 2000  # characters


class StillAnswering(Conflict):
    code = "still-answering"
    sentence = _("{most} answers are on their way to you already; wait for some of them.")


class AlreadySent(Conflict):
    code = "already-sent"
    sentence = _("These answers were sent to the annotators already.")


async def start_play(session: AsyncSession, project_id: int, form: PlayForm, owner_id: int) -> Play:
    """Ask every checkpoint, each by a job of its own, so that a slow one costs the others nothing.

    :raises Invalid: a checkpoint that cannot answer, or a reward model that is none. :raises NotFound: no such one.
    """
    if await awaited_by(session, owner_id) + len(form.checkpoints) > MOST_AWAITED:
        raise StillAnswering(most=MOST_AWAITED)
    prompt = await prompt_of(session, project_id, form.prompt) if form.prompt else None
    checkpoints = [await checkpoint_of(session, project_id, one) for one in form.checkpoints]
    for one in checkpoints:
        must_answer(one)
    reward = await checkpoint_of(session, project_id, form.reward) if form.reward else None
    if reward and (reward.kind is not CheckpointKind.reward or reward.state is not CheckpointState.ready):
        raise Invalid(field="reward", reason=_("that is no reward model that is ready"))
    play = Play(
        project_id=project_id,
        owner_id=owner_id,
        prompt_id=prompt.id if prompt else None,
        messages=prompt.messages if prompt else of_user(form.text or ""),
        sampling=form.sampling.as_json(),
        seed=secrets.randbelow(1 << 31) if form.seed is None else form.seed,
        n=BEST_OF if form.best_of else 1,
        reward_id=reward.id if reward else None,
    )
    session.add(play)
    await session.flush()
    answers = [
        PlayAnswer(play_id=play.id, number=number, checkpoint_id=one.id, reference_id=one.parent_id)
        for number, one in enumerate(checkpoints)
    ]
    session.add_all(answers)
    await session.flush()
    for answer in answers:
        await enqueue(session, PlayAsked(answer_id=answer.id))
    await session.refresh(play)
    return play


@dataclass(frozen=True)
class Wanted:
    """What is to be asked for one answer. reference: where its tokens can be compared with that. base: the reward
    model's, which reads with its tokens."""

    answer_id: int
    messages: Sequence[dict[str, object]]
    checkpoint: Checkpoint
    reference: Checkpoint | None
    reward: Checkpoint | None
    base: Checkpoint | None
    sampling: Sampling
    seed: int
    n: int


async def take_play(session: AsyncSession, answer_id: int) -> Wanted | None:
    """None: it is answered, or forgotten."""
    asked = select(PlayAnswer, Play).join(Play, Play.id == PlayAnswer.play_id).where(PlayAnswer.id == answer_id)
    found = (await session.execute(asked)).one_or_none()
    if found is None or found[0].answered_at is not None:
        return None
    answer, play = found
    reward = await session.get(Checkpoint, play.reward_id) if play.reward_id else None
    base = await base_of(session, play.project_id, reward) if reward else None
    return Wanted(
        answer.id,
        play.messages,
        await session.get_one(Checkpoint, answer.checkpoint_id),
        await session.get(Checkpoint, answer.reference_id) if answer.reference_id else None,
        reward,
        base,
        Sampling.model_validate(play.sampling),
        play.seed,
        play.n,
    )


async def write_result(session: AsyncSession, answer_id: int, result: Result) -> None:
    """Once: a second run of the same job changes nothing."""
    samples = [one.model_copy(update={"text": storable(one.text)}) for one in result.samples]
    ratios = result.ratios and tuple((storable(text), ratio) for text, ratio in result.ratios)
    kept = result.model_copy(update={"samples": tuple(samples), "ratios": ratios})
    html = await asyncio.to_thread(render_markdown, kept.shown.text)
    await _end(session, answer_id, result=kept.model_dump(mode="json"), html=html)


async def note_failure(session: AsyncSession, answer_id: int, reason: str) -> None:
    await _end(session, answer_id, reason=reason[:MOST_REASON])


async def _end(session: AsyncSession, answer_id: int, **told: object) -> None:
    waits = update(PlayAnswer).where(PlayAnswer.id == answer_id, PlayAnswer.answered_at.is_(None))
    await session.execute(waits.values(answered_at=func.now(), **told))


async def send_to_annotators(session: AsyncSession, play: Play, numbers: Sequence[int], actor_id: int) -> list[str]:
    """Make these answers tasks of the project's default round, under what it asks now; outside ids of the tasks.

    A protocol that judges one answer gets a task each. A typed prompt becomes one of the project's.

    :raises Invalid: the round cannot ask about these. :raises AlreadySent: it was done before.
    """
    await session.refresh(play, with_for_update=True)
    if play.sent:
        raise AlreadySent
    batch = await default_batch(session, play.project_id)
    protocol = await protocol_of_batch(session, batch)
    size = 1 if protocol.completions is None else protocol.completions
    chosen = [one for one in await given_in(session, play.id) if one.row.number in numbers]
    _must_fit(chosen, numbers, size)
    prompt = await _prompt_for_people(session, play, actor_id)
    made = await _store(session, play, prompt, chosen)
    wish = (await wishes_of(session, batch, [prompt.id]))[prompt.id]
    groups = [made] if size > 1 else [[one] for one in made]
    room = await room_in(session, batch)
    if room is not None and room < len(groups):
        raise Invalid(field="answers", reason=_("the default round takes no more tasks"))
    wanted = [NewTask(prompt.id, group, wish, chance=None) for group in groups]
    tasks = await open_tasks(session, play.project_id, batch.id, wanted, kind=protocol.kind)
    for task in tasks:  # who read these answers beside names and rewards is never asked which is better
        await pass_by(session, task, play.owner_id, "seen at the playground")
    ids = select(Task.public_id).where(Task.id.in_(tasks)).order_by(Task.id)
    play.sent = [str(one) for one in await session.scalars(ids)]
    await session.flush()
    told = {"tasks": play.sent, "checkpoints": [str(one.checkpoint.public_id) for one in chosen]}
    await events.record(
        session, "play.sent", actor_id=actor_id, project_id=play.project_id, subject=play.public_id, **told
    )
    return play.sent


def _must_fit(chosen: Sequence[Given], numbers: Sequence[int], size: int) -> None:
    """:raises Invalid: there are too few or too many answers, or some that nobody could judge."""
    texts = [one.result.shown.text for one in chosen if one.result]
    if size == 0:
        raise Invalid(field="answers", reason=_("the default round asks for texts, and judges no answers"))
    if size > 1 and len(numbers) != size:
        raise Invalid(field="answers", reason=_("the default round judges {count} at a time").format(count=size))
    if len(texts) < len(numbers) or any(flaw_of(text) for text in texts):
        raise Invalid(field="answers", reason=_("one of them has nothing to judge"))
    if len(set(texts)) < len(texts):
        raise Invalid(field="answers", reason=_("two of them say the same"))


async def _prompt_for_people(session: AsyncSession, play: Play, actor_id: int) -> Prompt:
    """:raises Invalid: nobody labels that prompt."""
    prompt = await session.get(Prompt, play.prompt_id) if play.prompt_id else None
    if prompt is None:
        text = text_of(play.messages[0]["parts"])
        name, origin = f"playground:{play.public_id}", {"from": "playground"}
        prompt = await keep_written(
            session, play.project_id, text, author_id=actor_id, external_id=name, metadata=origin, use=Use.label
        )
    if prompt is None:
        here = await same_prompts(session, play.project_id, [], [content_hash(play.messages)])
        prompt = here[0] if here else None
    if prompt is None or prompt.use is not Use.label or prompt.retired_at is not None:
        raise Invalid(field="prompt", reason=_("people are not asked about this prompt: it is held out or out of use"))
    play.prompt_id = prompt.id
    return prompt


async def _store(session: AsyncSession, play: Play, prompt: Prompt, chosen: Sequence[Given]) -> list[int]:
    """The answers as completions of the project; their inside ids, in order."""
    rows = []
    for one in chosen:
        assert one.result is not None, "they were looked at"
        said = one.result.shown
        parts = [{"type": "text", "text": said.text}]
        rows.append(
            {
                "project_id": play.project_id,
                "prompt_id": prompt.id,
                "checkpoint_id": one.checkpoint.id,
                "parts": parts,
                "html": await asyncio.to_thread(render_markdown, blinded(said.text, one.checkpoint.names)),
                "content_hash": content_hash(parts),
                "sampling": play.sampling,
                "seed": play.seed,
                "token_count": said.tokens,
                "finish_reason": said.finish,
                "logprob_sum": said.logprob,
            }
        )
    stored = insert(Completion).returning(Completion.id, sort_by_parameter_order=True)
    return list(await session.scalars(stored, rows))


async def forget_plays(session: AsyncSession) -> int:
    """Those of more than a week ago. Returns how many."""
    old = delete(Play).where(Play.created_at < func.now() - KEPT).returning(Play.id)
    return len((await session.scalars(old)).all())
