import shutil
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.checkpoints.actions import CannotAnswer, ensure_bundled, register_checkpoint, register_result, serve
from app.checkpoints.forms import NewCheckpoint
from app.checkpoints.jobs import CheckCheckpoint
from app.checkpoints.queries import NoFolder, location_of
from app.checkpoints.rules import CheckpointRefused
from app.checkpoints.tables import Checkpoint, CheckpointKind, CheckpointState, Place
from app.jobs.queue import Queue, enqueue
from app.projects.tables import Project
from app.prompts.jobs import PromptsArrived
from app.settings import get_settings
from tests import make
from tests.conftest import sign_in
from tests.queue import waiting
from workers.handlers.checkpoints import GB, check, fetch
from workers.handlers.registry import MAX_ATTEMPTS, Context
from workers.running import build_queue


async def test_the_bundled_one_is_registered_once(session: AsyncSession, folder: Path) -> None:
    first = await ensure_bundled(session, folder)
    again = await ensure_bundled(session, folder)
    assert first is not None
    assert again is not None
    assert first.id == again.id
    assert await ensure_bundled(session, folder / "nowhere") is None


async def test_a_run_registers_its_result_once(session: AsyncSession) -> None:
    project, base = await make.project(session), await make.checkpoint(session)
    run = await make.run(session, project, base)
    values = {
        "project_id": project.id, "run_id": run.id, "name": "Better", "kind": CheckpointKind.policy,
        "path": "checkpoints/abc", "parent_id": base.id, "record": {"kind": "policy"},
    }  # fmt: skip
    made = await register_result(session, **values)
    assert (await register_result(session, **values)).id == made.id
    assert location_of(made) == (get_settings().home / "checkpoints/abc").resolve()


async def test_a_location_never_leads_out_of_home(session: AsyncSession) -> None:
    made = await make.checkpoint(session, place=Place.run, location="../../etc")
    with pytest.raises(NoFolder):
        location_of(made)
    with pytest.raises(NoFolder):
        location_of(await make.checkpoint(session, place=Place.endpoint, location="http://host/v1"))


async def test_what_cannot_answer_is_not_put_to_answer(session: AsyncSession) -> None:
    project = await make.project(session)
    with pytest.raises(CannotAnswer):
        await serve(session, project.id, await make.checkpoint(session, CheckpointKind.reward), None)
    able = await make.checkpoint(session)
    await serve(session, project.id, able, None)
    assert project.checkpoint_id == able.id


@pytest.mark.committed
@pytest.mark.parametrize(("bad", "state"), [(None, CheckpointState.ready), ("evil.bin", CheckpointState.refused)])
async def test_a_registered_folder_is_checked_by_a_job(
    committed: str,
    folder: Path,
    bad: str | None,
    state: CheckpointState,
) -> None:
    if bad:
        (folder / bad).write_bytes(b"x")
    form = NewCheckpoint(name="Mine", place=Place.folder, location=str(folder))
    async with database.transaction() as session:
        made = await register_checkpoint(session, None, form, None, is_admin=True)
        payload = (await waiting(session, "CheckCheckpoint"))[0]
    for _ in range(2):  # a job may run twice
        await check(CheckCheckpoint.model_validate(payload), Context(get_settings()))
    async with database.transaction() as session:
        checked = (await session.scalars(select(Checkpoint).where(Checkpoint.id == made.id))).one()
    assert checked.state is state
    assert (checked.reason is None) == (bad is None)
    assert bad is None or "evil.bin" in str(checked.reason)


@pytest.mark.committed
async def test_a_folder_that_cannot_be_looked_at_is_refused_in_the_end_and_not_checked_for_ever(
    committed: str,
    folder: Path,
) -> None:
    (folder / "hone.json").write_text('{"kind": "of its own \\u0000"}')
    form = NewCheckpoint(name="Mine", place=Place.folder, location=str(folder))
    async with database.transaction() as session:
        made = await register_checkpoint(session, None, form, None, is_admin=True)
        payload = CheckCheckpoint.model_validate((await waiting(session, "CheckCheckpoint"))[0])
    with pytest.raises(ValueError, match="CheckpointKind"):
        await check(payload, Context(get_settings()))
    await check(payload, Context(get_settings(), attempt=MAX_ATTEMPTS - 1))
    async with database.transaction() as session:
        checked = (await session.scalars(select(Checkpoint).where(Checkpoint.id == made.id))).one()
    assert checked.state is CheckpointState.refused
    assert "of its own" in str(checked.reason)


async def engineer_of(session: AsyncSession, client: httpx.AsyncClient, **person: object):
    one, project = await make.user(session, **person), await make.project(session)
    await make.member(session, project, one, Role.engineer)
    await sign_in(client, session, one)
    return project


async def test_only_an_admin_registers_folders_and_endpoints(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    address = f"/api/v1/projects/{project.public_id}/checkpoints"
    folder_of_mine = {"name": "x", "place": "folder", "location": "/etc"}
    assert (await client.post(address, json=folder_of_mine)).status_code == 403
    from_hub = await client.post(address, json={"name": "x", "place": "hub", "location": "owner/name"})
    assert (from_hub.status_code, from_hub.json()["state"]) == (202, "checking")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"place": "hub", "location": "https://elsewhere/x"}, "not a hub name"),
        ({"place": "hub", "location": "../x"}, "not a hub name"),
        ({"place": "folder", "location": "relative/x"}, "the whole path"),
        ({"place": "endpoint", "location": "http://me:secret@host/v1", "revision": "m"}, "leave names"),
        ({"place": "endpoint", "location": "http://host/v1"}, "the name that the endpoint's server knows"),
        (
            {"place": "endpoint", "location": "http://h/v1", "revision": "m", "api_key_variable": "HONE_SECRET_KEY"},
            "cannot be the variable of a key",
        ),
        ({"place": "run", "location": "x"}, "place"),
        ({"place": "hub", "location": "a/b", "surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_registration_is_refused_in_words(
    client: httpx.AsyncClient, session: AsyncSession, body: dict, words: str
) -> None:
    project = await engineer_of(session, client, is_admin=True)
    answer = await client.post(f"/api/v1/projects/{project.public_id}/checkpoints", json={"name": "x"} | body)
    assert answer.status_code == 422
    assert words in answer.text


async def test_the_pages_show_descent_state_and_reason(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    base = await make.checkpoint(session, name="The base")
    refused = await make.checkpoint(
        session, name="Bad one", parent_id=base.id, state=CheckpointState.refused, reason="evil.bin can run code"
    )
    address = f"/projects/{project.public_id}/checkpoints"
    assert "Bad one" in (await client.get(address)).text
    page = (await client.get(f"{address}/{refused.public_id}")).text
    assert "evil.bin can run code" in page
    assert "The base" in page
    assert "Generate with this" not in page
    assert "Generate with this" in (await client.get(f"{address}/{base.public_id}")).text
    assert (await client.post(f"{address}/{base.public_id}/serve")).status_code == 303
    assert (await session.scalars(select(Project.checkpoint_id))).one() == base.id


async def test_checkpoints_of_another_project_are_not_there(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project = await engineer_of(session, client)
    other = await make.checkpoint(session, project_id=(await make.project(session)).id)
    address = f"/projects/{project.public_id}/checkpoints/{other.public_id}"
    assert (await client.get(address)).status_code == 404
    assert (await client.get(f"/api/v1{address}")).status_code == 404


class Bar:
    """Of the hub's progress."""

    def update(self, n: float | None = 1) -> None: ...


class Hub:
    """Stands in for the hub's library: one file of a few gigabytes, and a note of what was fetched."""

    def __init__(self, size: int) -> None:
        self.size, self.fetched = size, []
        self.utils = SimpleNamespace(tqdm=Bar)

    def snapshot_download(
        self,
        name: str,
        *,
        revision: str | None,
        local_dir: Path,
        dry_run: bool = False,
        tqdm_class: type[Bar] = Bar,
        **_: Any,
    ):
        if dry_run:
            sizes = (self.size - 5, 5, None)
            return [SimpleNamespace(file_size=size, commit_hash="abc", will_download=True) for size in sizes]
        bar = tqdm_class()
        for piece in range(3):
            (local_dir / f"piece-{piece}").write_text("came")
            bar.update(self.size / 3)
        self.fetched.append(revision)
        (local_dir / "config.json").write_text("{}")
        return str(local_dir)


@pytest.mark.parametrize(("size", "is_fetched"), [(3_000_000_000, True), (3_000_000_001, False)])
def test_a_hub_is_asked_for_the_size_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, is_fetched: bool
) -> None:
    hub = Hub(size)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with_free(monkeypatch, 100 * GB)
    there = tmp_path / "mine"
    if is_fetched:
        fetch("owner/name", "main", there, 3 * GB)
        assert hub.fetched == ["abc"], "what was measured, whatever the branch is by now"
        assert (there / "config.json").is_file()
        return
    with pytest.raises(CheckpointRefused, match=r"owner/name has 3\.0.GB; at most 3\.0.GB .*HONE_MAX_CHECKPOINT_GB"):
        fetch("owner/name", "main", there, 3 * GB)
    assert hub.fetched == []
    assert list(tmp_path.iterdir()) == []


def with_free(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """A disk with so many bytes left, each time that somebody looks; the last number stays."""
    left = list(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=left.pop(0) if left[1:] else left[0]))


def test_nothing_is_fetched_that_the_disk_has_no_room_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = Hub(3 * GB)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with_free(monkeypatch, 5 * GB - 1)
    with pytest.raises(CheckpointRefused, match=r"would bring 3\.0.GB, but only 5\.0.GB are free .*HONE_HOME"):
        fetch("owner/name", "main", tmp_path / "mine", 40 * GB)
    assert hub.fetched == list(tmp_path.iterdir()) == []
    with_free(monkeypatch, 5 * GB)
    fetch("owner/name", "main", tmp_path / "mine", 40 * GB)
    assert hub.fetched == ["abc"]


def test_a_fetch_stops_when_others_fill_the_disk_and_takes_back_what_had_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = Hub(3 * GB)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with_free(monkeypatch, 9 * GB, 6 * GB, GB)
    with pytest.raises(CheckpointRefused, match=r"the disk of HONE_HOME filled up: 1\.0.GB were left"):
        fetch("owner/name", "main", tmp_path / "mine", 40 * GB)
    assert hub.fetched == list(tmp_path.iterdir()) == []


@pytest.mark.committed
async def test_many_fetches_from_a_hub_leave_the_workers_to_everybody_else(committed: str) -> None:
    """One at a time, whoever registers how many; folders and endpoints do not wait for them."""
    places = [Place.hub] * 5 + [Place.folder] * 2 + [Place.endpoint]
    async with database.transaction() as session:
        for number, place in enumerate(places):
            form = NewCheckpoint.model_construct(
                name=f"Number {number}", kind="base", place=place, location="x", revision="", api_key_variable=""
            )
            await register_checkpoint(session, None, form, None, is_admin=True)
        await enqueue(session, PromptsArrived(project_id=1))
    queue = build_queue()
    async with queue.open_async():
        worker = await queue.job_manager.register_worker()
        taken = []
        while (job := await queue.job_manager.fetch_job([Queue.light], worker)) is not None:
            taken.append(job.lock or job.task_name)
    assert taken == ["checkpoints-hub", "checkpoints-folder", "checkpoints-endpoint", "PromptsArrived"]


def test_the_hubs_library_measures_as_we_ask_it_to() -> None:
    library = pytest.importorskip("huggingface_hub")
    assert {"dry_run", "tqdm_class"} <= set(signature(library.snapshot_download).parameters)
    assert hasattr(library.utils.tqdm, "update")
    assert {"file_size", "commit_hash", "will_download"} <= {field.name for field in fields(library.DryRunFileInfo)}
