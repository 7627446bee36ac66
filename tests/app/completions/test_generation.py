import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.checkpoints.actions import CannotAnswer
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.completions.actions import NothingToAsk, ask, cancel_generation, request_generation, top_up
from app.completions.forms import GenerationForm
from app.completions.jobs import GenerateCompletions
from app.completions.rules import Sampling
from app.completions.tables import Completion, Flaw, Generation, GenerationState
from app.projects.protocols import RankingProtocol
from app.projects.tables import Project
from app.prompts.tables import Prompt, Use
from app.settings import get_settings
from tests import make
from tests.queue import waiting
from workers.handlers.completions import generate
from workers.handlers.registry import MAX_ATTEMPTS, Context
from workers.sampling.answers import Completed, NotAnswerable


class FakeEngine:
    """Answers with the prompt's number, the seed and the sample; or raises what it was given."""

    def __init__(self, error: Exception | None = None, texts: list[str] | None = None) -> None:
        self.error = error
        self.texts = texts
        self.asked: list[int] = []

    async def complete(self, where, conversations, sampling, n, seeds):
        self.asked.append(len(conversations))
        if self.error is not None:
            raise self.error
        return [
            [
                Completed(self.texts[k] if self.texts else f"answer {k} of seed {seed}", 7, "stop", -3.5)
                for k in range(n)
            ]
            for seed in seeds
        ]


async def scene(session: AsyncSession, prompts: int = 3, n: int = 2) -> tuple[Project, Checkpoint, Generation]:
    project = await make.project(session)
    checkpoint = await make.checkpoint(session, place=Place.run, location="checkpoints/one")
    asked = [(await make.prompt(session, project)).id for _ in range(prompts)]
    generation = await request_generation(
        session, project.id, checkpoint, asked, n=n, sampling=Sampling(max_tokens=12), seed=5
    )
    return project, checkpoint, generation


async def jobs_of(session: AsyncSession, name: str) -> list[dict]:
    return await waiting(session, name)


def context(engine: FakeEngine, attempt: int = 0) -> Context:
    return Context(get_settings(), engine, attempt)


async def run_first(engine: FakeEngine, attempt: int = 0) -> Generation:
    async with database.transaction() as session:
        payload = (await jobs_of(session, "GenerateCompletions"))[0]
    await generate(GenerateCompletions.model_validate(payload), context(engine, attempt))
    async with database.transaction() as session:
        return (await session.scalars(select(Generation))).one()


@pytest.mark.committed
async def test_a_job_writes_every_answer_with_its_provenance_and_running_it_again_changes_nothing(
    committed: str,
) -> None:
    async with database.transaction() as session:
        await scene(session)
    engine = FakeEngine()
    first = await run_first(engine)
    again = await run_first(engine)
    assert (first.state, first.done, again.done) == (GenerationState.finished, 6, 6)
    assert engine.asked == [3]
    async with database.transaction() as session:
        rows = list(await session.scalars(select(Completion).order_by(Completion.id)))
        arrived = await jobs_of(session, "CompletionsArrived")
    assert len(rows) == 6
    assert {(row.token_count, row.finish_reason, row.logprob_sum) for row in rows} == {(7, "stop", -3.5)}
    assert rows[0].sampling == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 12}
    assert rows[0].html.startswith("<p")
    assert len({row.seed for row in rows}) == 3
    assert [job["prompt_ids"] for job in arrived] == [sorted({row.prompt_id for row in rows})]


@pytest.mark.committed
async def test_a_sampler_that_is_away_is_tried_again_and_only_the_last_failure_counts(committed: str) -> None:
    async with database.transaction() as session:
        await scene(session)
    with pytest.raises(ConnectionError):
        await run_first(FakeEngine(ConnectionError("the sampler is away")))
    async with database.transaction() as session:
        assert (await session.scalars(select(Generation))).one().state is GenerationState.running
    failed = await run_first(FakeEngine(ConnectionError("the sampler is away")), attempt=MAX_ATTEMPTS - 1)
    assert (failed.state, failed.failed) == (GenerationState.failed, 3)
    assert failed.reason == "ConnectionError: the sampler is away"
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Completion)) == 0
    mended = await run_first(FakeEngine())
    assert (mended.state, mended.failed, mended.done) == (GenerationState.finished, 0, 6)


@pytest.mark.committed
@pytest.mark.parametrize("beyond", [True, False])
async def test_what_the_database_does_not_hold_fails_the_request_and_never_leaves_it_waiting(
    committed: str, beyond: bool
) -> None:
    async with database.transaction() as session:
        await scene(session)

    class Odd(FakeEngine):
        async def complete(self, where, conversations, sampling, n, seeds):
            if not beyond:
                raise ConnectionError("it said \0 and \ud83d")
            return [[Completed("fine", 10**30, "stop", None)] * n for _ in seeds]

    ended = await run_first(Odd(), attempt=MAX_ATTEMPTS - 1)
    assert (ended.state, ended.failed) == (GenerationState.failed, 3)
    assert beyond or ended.reason == "ConnectionError: it said � and �"


@pytest.mark.committed
async def test_a_prompt_that_cannot_be_answered_does_not_spoil_its_company(committed: str) -> None:
    async with database.transaction() as session:
        await scene(session)

    class Choosy(FakeEngine):
        async def complete(self, where, conversations, sampling, n, seeds):
            if any("number" in str(one) and str(one).endswith(self.bad) for one in map(text_of_last, conversations)):
                raise NotAnswerable("messages", "The prompt is too long.")
            return await super().complete(where, conversations, sampling, n, seeds)

    def text_of_last(conversation) -> str:
        return conversation[-1]["parts"][0]["text"]

    async with database.transaction() as session:
        texts = [text_of_last(prompt.messages) for prompt in await session.scalars(select(Prompt))]
    engine = Choosy()
    engine.bad = texts[1].rsplit(" ", 1)[1]
    ended = await run_first(engine)
    assert (ended.state, ended.done, ended.failed) == (GenerationState.failed, 4, 1)
    assert ended.reason == "The prompt is too long."


@pytest.mark.committed
async def test_empty_and_broken_answers_are_kept_and_marked(committed: str) -> None:
    async with database.transaction() as session:
        await scene(session, prompts=1, n=3)
    await run_first(FakeEngine(texts=[" \n", "sorry " * 100, "A good answer."]))
    async with database.transaction() as session:
        flaws = list(await session.scalars(select(Completion.flaw).order_by(Completion.number)))
    assert flaws == [Flaw.empty, Flaw.degenerate, None]


async def test_a_request_becomes_jobs_of_at_most_64_prompts(session: AsyncSession) -> None:
    await scene(session, prompts=70)
    payloads = [GenerateCompletions.model_validate(job) for job in await jobs_of(session, "GenerateCompletions")]
    assert sum(len(job.prompt_ids) for job in payloads) == 70
    assert max(len(job.prompt_ids) for job in payloads) <= 64


async def test_a_cancelled_request_asks_for_nothing_more(session: AsyncSession) -> None:
    from app.completions.actions import take_order

    _project, _checkpoint, generation = await scene(session)
    await cancel_generation(session, generation, None)
    assert await take_order(session, generation.id, [1, 2, 3]) is None


async def test_what_cannot_answer_is_not_asked(session: AsyncSession) -> None:
    project = await make.project(session)
    prompt = await make.prompt(session, project)
    for bad in (
        await make.checkpoint(session, CheckpointKind.reward),
        await make.checkpoint(session, state=CheckpointState.refused),
    ):
        with pytest.raises(CannotAnswer):
            await request_generation(session, project.id, bad, [prompt.id], n=1, sampling=Sampling(), seed=0)


async def test_a_form_without_prompts_takes_those_with_the_fewest_answers(session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=checkpoint.id)
    with pytest.raises(NothingToAsk):
        await ask(session, project.id, GenerationForm(), None)
    answered, bare = await make.prompt(session, project), await make.prompt(session, project)
    await make.completion(session, answered)
    await make.prompt(session, project, use=Use.heldout)
    generation = await ask(session, project.id, GenerationForm(most=1, n=3), None)
    assert generation.wanted == 3
    assert (await jobs_of(session, "GenerateCompletions"))[0]["prompt_ids"] == [bare.id]


async def test_the_queue_tops_itself_up_once_at_a_time_and_within_the_limit(session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=checkpoint.id, generation_limit=5)
    for _ in range(3):
        await make.prompt(session, project)
    first = await top_up(session, project.id)
    assert first is not None
    assert (first.automatic, first.wanted) == (True, 4)
    assert await top_up(session, project.id) is None
    first.state, first.done = GenerationState.finished, 4
    await session.flush()
    assert await top_up(session, project.id) is None  # one completion is left of five: no pair


async def test_what_a_failed_request_never_brought_may_be_asked_for_again(session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=checkpoint.id, generation_limit=4)
    for _ in range(2):
        await make.prompt(session, project)
    first = await top_up(session, project.id)
    assert first is not None
    first.state, first.done = GenerationState.failed, 0
    await session.flush()
    assert await top_up(session, project.id) is not None


async def test_a_paused_project_asks_for_nothing(session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session)
    project = await make.project(session, checkpoint_id=checkpoint.id, state="paused")
    await make.prompt(session, project)
    assert await top_up(session, project.id) is None


async def test_topping_up_asks_for_as_many_answers_a_prompt_as_a_task_shows(session: AsyncSession) -> None:
    checkpoint = await make.checkpoint(session, place=Place.run, location="checkpoints/one")
    protocol = RankingProtocol(completions=5).as_json()
    project = await make.project(session, protocol=protocol, checkpoint_id=checkpoint.id, generation_limit=12)
    for _ in range(3):
        await make.prompt(session, project)
    asked = await top_up(session, project.id)
    assert asked is not None
    assert (asked.n, asked.wanted) == (5, 10)  # twelve are allowed: two prompts
