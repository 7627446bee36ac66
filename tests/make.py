"""Factories in story order: each flushes and returns its row; what a test does not name gets a plain default."""

import secrets
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import hashed
from app.accounts.permissions import Role
from app.accounts.tables import ApiToken, Membership, SignIn, User
from app.annotations.kinds import KeptComparison
from app.annotations.tables import Annotation
from app.checkpoints.tables import Checkpoint, CheckpointKind, Place
from app.completions.tables import Completion
from app.media.files import folder, keep
from app.media.tables import Medium, MediumKind, MediumState
from app.projects.tables import Batch, Guidelines, Project, Protocol
from app.prompts.rules import content_hash
from app.prompts.tables import Prompt, Root, Use
from app.tasks.tables import Slot, Task, TaskCompletion
from app.training.tables import Method, Run

numbers = count(1)

PROTOCOL = {
    "schema": {"name": "hone.protocol", "version": 1},
    "kind": "comparison",
    "completions": 2,
    "scale": 7,
    "choose": "best",
    "ties": True,
    "both_bad": True,
    "neither_valid": False,
}


async def _added(session: AsyncSession, row: Any) -> Any:
    session.add(row)
    await session.flush()
    return row


async def user(session: AsyncSession, name: str | None = None, **values: Any) -> User:
    n = next(numbers)
    values = {"email": f"person-{n}@example.org", "name": name or f"Person {n}"} | values
    return await _added(session, User(**values))


async def sign_in(session: AsyncSession, person: User) -> str:
    """A signed-in browser; returns the cookie's value."""
    token = secrets.token_urlsafe(32)
    row = SignIn(token_hash=hashed(token), user_id=person.id, expires_at=datetime.now(UTC) + timedelta(days=1))
    await _added(session, row)
    return token


async def api_token(session: AsyncSession, person: User, role: Role | None = None, **values: Any) -> str:
    token = "hone_" + secrets.token_urlsafe(32)
    row = ApiToken(token_hash=hashed(token), hint=token[:9], user_id=person.id, name="test", role=role, **values)
    await _added(session, row)
    return token


async def member(
    session: AsyncSession, project: Project, person: User, role: Role = Role.annotator, **values: Any
) -> Membership:
    values = {"pseudonym": f"rater-{next(numbers)}"} | values
    return await _added(session, Membership(project_id=project.id, user_id=person.id, role=role, **values))


async def project(
    session: AsyncSession, *, protocol: dict[str, Any] | None = None, k: int = 1, **values: Any
) -> Project:
    """A project with a protocol, guidelines and its open default batch."""
    values = {"name": f"Project {next(numbers)}", "secret": secrets.token_bytes(32)} | values
    made = await _added(session, Project(**values))
    await _added(session, Protocol(project_id=made.id, version=1, body=protocol or PROTOCOL))
    await _added(session, Guidelines(project_id=made.id, version=1, markdown="Be fair.", html="<p>Be fair.</p>"))
    await _added(session, Batch(project_id=made.id, name="Default", is_default=True, k=k))
    return made


async def medium(session: AsyncSession, project: Project, content: bytes | None = None, **values: Any) -> Medium:
    """A picture that is ready to be shown; its file lies in its place, whatever its content."""
    folder().mkdir(parents=True, exist_ok=True)
    made = folder() / secrets.token_hex(8)
    made.write_bytes(content if content is not None else secrets.token_bytes(32))
    sha256, size = keep(made)
    plain = {"name": "fern.png", "state": MediumState.ready, "kind": MediumKind.image, "media_type": "image/png"}
    values = plain | values
    values |= {"sha256": sha256, "source_sha256": values.get("source_sha256", sha256), "size": size}
    return await _added(session, Medium(project_id=project.id, **values))


async def prompt(
    session: AsyncSession, project: Project, text: str | None = None, use: Use = Use.label, **values: Any
) -> Prompt:
    text = text or f"How do I fold paper number {next(numbers)}?"
    messages = [{"role": "user", "parts": [{"type": "text", "text": text}]}]
    root = await _added(session, Root(project_id=project.id, key=f"root-{next(numbers)}", use=use))
    values = {
        "root_id": root.id,
        "messages": messages,
        "rendered": [f"<p>{text}</p>"],
        "content_hash": content_hash(messages),
    } | values
    return await _added(session, Prompt(project_id=project.id, use=use, **values))


async def checkpoint(session: AsyncSession, kind: CheckpointKind = CheckpointKind.base, **values: Any) -> Checkpoint:
    values = {"name": f"checkpoint-{next(numbers)}", "place": Place.folder, "location": "nowhere"} | values
    return await _added(session, Checkpoint(kind=kind, **values))


async def completion(session: AsyncSession, prompt: Prompt, text: str | None = None, **values: Any) -> Completion:
    text = text or f"Like this, number {next(numbers)}."
    parts = [{"type": "text", "text": text}]
    values = {"parts": parts, "html": f"<p>{text}</p>", "content_hash": content_hash(parts)} | values
    return await _added(session, Completion(project_id=prompt.project_id, prompt_id=prompt.id, **values))


async def task(
    session: AsyncSession,
    project: Project,
    batch: Batch,
    *,
    k: int = 1,
    prompt_row: Prompt | None = None,
    completions: list[Completion] | None = None,
    rank: int | None = None,
    shows: int = 2,
    **values: Any,
) -> Task:
    """An open task with k free slots that shows so many completions; a comparison unless `kind` says otherwise."""
    asked = prompt_row or await prompt(session, project)
    pair = completions or [await completion(session, asked) for _ in range(shows)]
    made = await _added(session, Task(project_id=project.id, batch_id=batch.id, prompt_id=asked.id, k=k, **values))
    for number, one in enumerate(pair):
        session.add(TaskCompletion(project_id=project.id, task_id=made.id, number=number, completion_id=one.id))
    for number in range(k):
        place = rank if rank is not None else next(numbers)
        session.add(Slot(project_id=project.id, task_id=made.id, number=number, rank=place, lane=asked.care << 6))
    await session.flush()
    return made


async def annotation(
    session: AsyncSession,
    task: Task,
    person: User,
    outcome: str | int = 0,
    strength: int | None = 2,
    sides: list[int] | None = None,
    **values: Any,
) -> Annotation:
    """A live answer in the next slot of the task. outcome: number of the preferred completion, or another outcome."""
    taken = select(Annotation.slot_id).where(Annotation.task_id == task.id, Annotation.slot_id.is_not(None))
    free = select(Slot).where(Slot.task_id == task.id, Slot.id.not_in(taken)).order_by(Slot.number).limit(1)
    slot = (await session.scalars(free)).one()
    said: dict[str, Any] = {"outcome": outcome}
    if isinstance(outcome, int):
        said = {"outcome": "preferred", "preferred": outcome, "strength": strength}
    values = {
        "task_id": task.id,
        "slot_id": slot.id,
        "annotator_id": person.id,
        "idempotency_key": uuid4(),
        "body_hash": b"",
        "kind": "comparison",
        "body": KeptComparison(**said).model_dump(mode="json"),
        "sides": sides or [0, 1],
        "protocol_id": await session.scalar(select(func.max(Protocol.id)).filter_by(project_id=task.project_id)),
        "guidelines_id": await session.scalar(select(func.max(Guidelines.id)).filter_by(project_id=task.project_id)),
    } | values
    made = await _added(session, Annotation(project_id=task.project_id, **values))
    slot.state, slot.annotator_id = 2, person.id
    await session.flush()
    return made


async def run(session: AsyncSession, project: Project, base: Checkpoint, **values: Any) -> Run:
    """A training that waits for its turn."""
    values = {"name": f"Run {next(numbers)}", "method": Method.ppo, "config": {}, "seed": 0} | values
    return await _added(session, Run(project_id=project.id, base_id=base.id, **values))
