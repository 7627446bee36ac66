"""What our own reward models say of answers that rounds ask about, so that the most informative can be asked first."""

import logging
from collections import defaultdict

from app.checkpoints.queries import base_of, location_of
from app.checkpoints.tables import Checkpoint
from app.completions.actions.scoring import keep_members, note_scores
from app.completions.tables import Completion
from app.jobs.queue import enqueue
from app.prompts.rules import text_of
from app.prompts.tables import Prompt
from app.quality.informing import unscored_in
from app.quality.jobs import ScoreAnswers
from workers.handlers.completions import NoEngine, may_pass, reason_of
from workers.handlers.registry import Context, handles
from workers.sampling.answers import NotAnswerable

log = logging.getLogger("hone.quality")
AT_ONCE = 64  # completions of one job; those who wait for answers come in between


@handles(ScoreAnswers)
async def score_answers(job: ScoreAnswers, context: Context) -> None:
    """Safe to run twice: scores are kept in place of those that are there. The last job of a round tells of all."""
    if context.engine is None:
        raise NoEngine
    async with context.session() as session:
        scorer = await session.get(Checkpoint, job.checkpoint_id)
        base = await base_of(session, job.project_id, scorer) if scorer else None
        found = await unscored_in(session, job.batch_id, job.checkpoint_id, after=job.after, most=AT_ONCE)
        asked = [(await session.get_one(Prompt, one.prompt_id), one) for one in found]
    if scorer is None or base is None:
        return
    said: dict[int, tuple[float, ...]] = {}
    for prompt, answers in by_prompt(asked):
        texts = [text_of(one.parts) for one in answers]
        try:
            heard = await context.engine.rewards(location_of(scorer), location_of(base), prompt.messages, texts)
        except NotAnswerable as error:
            log.info("answers to prompt %s are not scored: %a", prompt.id, error)
            continue
        except Exception as error:
            if may_pass(error) and not context.gives_up(error):
                raise
            log.warning("%s scores nothing: %a", scorer.name, reason_of(error))
            return
        said |= {one.id: members for one, (members, _heads) in zip(answers, heard, strict=True)}
    async with context.session() as session:
        await keep_members(session, job.project_id, job.checkpoint_id, said)
        kept = job.kept + len(said)
        if len(found) == AT_ONCE:
            more = job.model_copy(update={"after": found[-1].id, "kept": kept})
            await enqueue(session, more, **more.line)
        elif kept:
            await note_scores(session, job.project_id, scorer, kept)


def by_prompt(asked: list[tuple[Prompt, Completion]]) -> list[tuple[Prompt, list[Completion]]]:
    together: dict[int, list[Completion]] = defaultdict(list)
    for prompt, one in asked:
        together[prompt.id].append(one)
    prompts = {prompt.id: prompt for prompt, _one in asked}
    return [(prompts[key], answers) for key, answers in together.items()]
