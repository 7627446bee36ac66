"""Dynamic overlap: one answer first, and one more each time as long as those that came disagree."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.rules import agree, conclusion_of, is_weak
from app.annotations.tables import Annotation, AnnotationState
from app.projects.protocols import CombinedProtocol, ComparisonProtocol, ProtocolBody
from app.tasks.actions import change_k
from app.tasks.queries import protocol_body
from app.tasks.tables import Task, TaskState


async def ask_one_more(session: AsyncSession, project_id: int, task_id: int) -> bool:
    """Want one answer more to a task whose answers are all in and do not settle it, up to its `most_k`.

    The caller holds the task's row, so of two last answers the second sees the first. Returns whether one is wanted.
    """
    found = select(Task).where(Task.id == task_id).execution_options(populate_existing=True)
    task = (await session.scalars(found)).one()
    if task.most_k is None or task.state is not TaskState.done or task.k >= task.most_k:
        return False
    live = select(Annotation.body, Annotation.protocol_id)
    rows = (
        await session.execute(live.where(Annotation.task_id == task_id, Annotation.state == AnnotationState.live))
    ).all()
    said = [(body, conclusion, protocol) for body, protocol in rows if (conclusion := conclusion_of(body)) is not None]
    if not said:
        return False
    weak = is_weak(said[0][0], strengths(await protocol_body(session, said[0][2])))
    if agree([conclusion for _body, conclusion, _protocol in said], weak=weak):
        return False
    await change_k(session, project_id, task_id, task.k + 1)
    return True


def strengths(protocol: ProtocolBody) -> int:
    """How many strengths a preference between two has under a protocol; 0: there is none."""
    parts = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    return next((part.levels for part in parts if isinstance(part, ComparisonProtocol)), 0)
