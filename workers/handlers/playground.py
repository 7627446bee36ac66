"""The playground: one checkpoint's answer, what a reward model and a reference think of it, and what is forgotten."""

from app.checkpoints.queries import location_of
from app.checkpoints.tables import Place
from app.playground.actions import Wanted, forget_plays, note_failure, take_play, write_result
from app.playground.jobs import PlayAsked
from app.playground.rules import Result, Sample, best_of
from app.translation import _
from workers.handlers.completions import NoEngine, endpoint_of, may_pass, reason_of
from workers.handlers.registry import MAX_ATTEMPTS, Context, every, handles
from workers.sampling.answers import Completed, NotAnswerable, Sampling
from workers.sampling.orders import EngineClosed
from workers.sampling.remote import Remote

PATIENCE = 60.0  # seconds that an endpoint has; somebody looks at the page meanwhile


@handles(PlayAsked)
async def answer_play(job: PlayAsked, context: Context) -> None:
    """Safe to run twice: the first answer that is written stays."""
    async with context.session() as session:
        wanted = await take_play(session, job.answer_id)
    if wanted is None:
        return
    if context.attempt >= MAX_ATTEMPTS:  # no try ended with an exception: each took the process with it
        async with context.session() as session:
            await note_failure(session, job.answer_id, _("The sampler stopped each time that it tried to answer this."))
        return
    try:
        result = await played(wanted, context)
    except Exception as error:
        if may_pass(error) and not isinstance(error, NotAnswerable) and not context.gives_up(error):
            raise
        async with context.session() as session:
            await note_failure(session, job.answer_id, reason_of(error))
        return
    async with context.session() as session:
        await write_result(session, job.answer_id, result)


async def played(wanted: Wanted, context: Context) -> Result:
    """The answers, scored, and the best of them compared with the reference, as far as either can be had."""
    if context.engine is None:
        raise NoEngine
    answers = await ask(wanted, context)
    scores, no_reward = await scored(wanted, answers, context)
    samples = tuple(
        Sample(
            text=one.text,
            tokens=one.token_count,
            finish=one.finish_reason,
            logprob=one.logprob_sum,
            rewards=members,
            heads=heads,
        )
        for one, (members, heads) in zip(answers, scores, strict=True)
    )
    best = best_of(samples)
    ratios, no_ratios = await compared(wanted, answers[best], context)
    return Result(samples=samples, best=best, ratios=ratios, no_reward=no_reward, no_ratios=no_ratios)


async def ask(wanted: Wanted, context: Context) -> list[Completed]:
    sampling, messages = Sampling(**wanted.sampling.model_dump()), [list(wanted.messages)]
    if wanted.checkpoint.place is Place.endpoint:
        remote = Remote(timeout=PATIENCE, tries=1)
        try:
            there = endpoint_of(wanted.checkpoint)
            return (await remote.complete(there, messages, sampling, wanted.n, [wanted.seed]))[0]
        finally:
            await remote.close()
    assert context.engine is not None, "the caller looked"
    folder = location_of(wanted.checkpoint)
    found = await context.engine.complete(
        folder, messages, sampling, wanted.n, [wanted.seed], is_awaited=True, with_tokens=True
    )
    return found[0]


async def scored(
    wanted: Wanted, answers: list[Completed], context: Context
) -> tuple[list[tuple[tuple[float, ...], dict[str, float]]], str | None]:
    """What each member and each head of the reward model says of each answer, and why nothing is said where nothing
    is."""
    nothing: list[tuple[tuple[float, ...], dict[str, float]]] = [((), {}) for _one in answers]
    if wanted.reward is None:
        return nothing, None
    assert context.engine is not None, "the caller looked"
    reward, base, texts = wanted.reward, wanted.base, [one.text for one in answers]
    if base is None or base.place is Place.endpoint:
        return nothing, _("The base that the reward model stands on is not known here.")
    try:
        return await context.engine.rewards(location_of(reward), location_of(base), wanted.messages, texts), None
    except EngineClosed:
        raise
    except Exception as error:  # the answer is there, and stays
        return nothing, reason_without_path(error)


async def compared(
    wanted: Wanted, answer: Completed, context: Context
) -> tuple[tuple[tuple[str, float], ...] | None, str | None]:
    """Log-ratios to the reference by pieces of the text, and why there are none where there are none."""
    assert context.engine is not None, "the caller looked"
    policy, reference = wanted.checkpoint, wanted.reference
    if policy.place is Place.endpoint:
        return None, _("An endpoint tells no log-probabilities that could be compared.")
    if reference is None or reference.place is Place.endpoint:
        return None, _("It names no checkpoint that it was trained from.")
    tokens = [one.id for one in answer.tokens]
    try:
        found = await context.engine.ratios(location_of(policy), location_of(reference), wanted.messages, tokens)
        return tuple(found), None
    except EngineClosed:
        raise
    except Exception as error:  # the answer is there, and stays
        return None, reason_without_path(error)


def reason_without_path(error: Exception) -> str:
    """The sentence of an error, for a page: where files lie on the machine is nobody's business there."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror}" if error.strerror else type(error).__name__
    return reason_of(error)


@every(3600)
async def forget_old_plays(context: Context) -> None:
    async with context.session() as session:
        await forget_plays(session)
