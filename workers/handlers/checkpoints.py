"""Looks at a checkpoint that was registered: fetches it from a hub, checks its files, or asks its endpoint."""

import asyncio
import importlib
import os
import shutil
from pathlib import Path
from typing import Any

import httpx

from app.checkpoints.actions import accept_checkpoint, refuse_checkpoint
from app.checkpoints.jobs import CheckCheckpoint
from app.checkpoints.queries import location_of
from app.checkpoints.rules import Checked, CheckpointRefused, check_folder
from app.checkpoints.tables import Checkpoint, CheckpointState, Place
from app.translation import _
from app.wording import byte_size
from workers.handlers.registry import Context, handles

# what a folder needs, and nothing that could run: pickles are not even fetched
WANTED = ["*.json", "*.safetensors", "*.jinja", "LICENSE*", "README.md", "tokenizer.model"]
GB = 1_000_000_000
PATIENCE = 20.0  # seconds for an endpoint to say what it serves
LEFT_FREE = 2 * GB  # bytes of the disk, for the database and everything else that writes there


@handles(CheckCheckpoint)
async def check(job: CheckCheckpoint, context: Context) -> None:
    async with context.session() as session:
        checkpoint = await session.get(Checkpoint, job.checkpoint_id)
    if checkpoint is None or checkpoint.state is not CheckpointState.checking:
        return
    try:
        checked = await look_at(checkpoint, context.settings.max_checkpoint_gb * GB)
        async with context.session() as session:
            await accept_checkpoint(session, job.checkpoint_id, checked)
    except Exception as error:
        if not isinstance(error, CheckpointRefused) and not context.gives_up(error):
            raise
        async with context.session() as session:
            await refuse_checkpoint(session, job.checkpoint_id, reason_of(error))


def reason_of(error: Exception) -> str:
    """The sentence of a refusal, else what happened."""
    return (str(error) if isinstance(error, CheckpointRefused) else f"{type(error).__name__}: {error}")[:2000]


async def look_at(checkpoint: Checkpoint, most: int) -> Checked | None:
    """most: bytes that may be fetched. :raises CheckpointRefused: with a sentence for the page."""
    if checkpoint.place is Place.endpoint:
        await ask_endpoint(checkpoint)
        return None
    folder = location_of(checkpoint)
    if checkpoint.place is Place.hub and not folder.is_dir():
        await asyncio.to_thread(fetch, checkpoint.location, checkpoint.revision, folder, most)
    return await asyncio.to_thread(check_folder, folder)


def fetch(name: str, revision: str | None, folder: Path, most: int) -> None:
    """Bring a hub's files into `folder`, under another name until all are there. most: bytes in all.

    :raises CheckpointRefused: the hub lacks it or cannot be reached, it is too large, there is no room for it, or the
        library is missing.
    """
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise CheckpointRefused(_("Fetching from a hub needs the extra [train]: pip install 'hone[train]'.")) from None
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        planned = hub.snapshot_download(name, revision=revision, local_dir=partial, allow_patterns=WANTED, dry_run=True)
        refuse_too_large(name, sum(file.file_size or 0 for file in planned), most)
        refuse_without_room(name, partial, sum(file.file_size or 0 for file in planned if file.will_download))
        measured = planned[0].commit_hash if planned else revision  # what comes is what was measured
        watching = watcher(hub.utils.tqdm, name, partial)
        hub.snapshot_download(name, revision=measured, local_dir=partial, allow_patterns=WANTED, tqdm_class=watching)
    except CheckpointRefused:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except (OSError, ValueError, httpx.HTTPError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointRefused(_("{name} could not be fetched: {reason}.").format(name=name, reason=first)) from None
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    partial.rename(folder)


def refuse_too_large(name: str, size: int, most: int) -> None:
    """:raises CheckpointRefused: `size` bytes are more than `most`."""
    if size > most:
        told = {"name": name, "size": byte_size(size), "most": byte_size(most)}
        sentence = _("{name} has {size}; at most {most} are fetched (HONE_MAX_CHECKPOINT_GB).")
        raise CheckpointRefused(sentence.format(**told))


def refuse_without_room(name: str, folder: Path, size: int) -> None:
    """:raises CheckpointRefused: `size` bytes more would leave too little room on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free - size < LEFT_FREE:
        told = {"name": name, "size": byte_size(size), "free": byte_size(free), "least": byte_size(LEFT_FREE)}
        sentence = _(
            "{name} would bring {size}, but only {free} are free on the disk of HONE_HOME, and {least} must stay free."
        )
        raise CheckpointRefused(sentence.format(**told))


def watcher(bar: Any, name: str, folder: Path) -> Any:
    """The hub's progress bar, which hears of every piece that has come: it stops when others have filled the disk."""

    class Watcher(bar):  # type: ignore[misc]
        def update(self, n: float | None = 1) -> bool | None:
            free = shutil.disk_usage(folder).free
            if free < LEFT_FREE:
                told = {"name": name, "free": byte_size(free), "least": byte_size(LEFT_FREE)}
                sentence = _(
                    "While {name} was fetched, the disk of HONE_HOME filled up: {free} were left, and {least} must "
                    "stay free. What had come was removed again."
                )
                raise CheckpointRefused(sentence.format(**told))
            return super().update(n)  # type: ignore[no-any-return]

    return Watcher


async def ask_endpoint(checkpoint: Checkpoint) -> None:
    """See that it answers, takes our key and serves what was named.

    :raises CheckpointRefused: one of these is not so.
    """
    address = checkpoint.location.rstrip("/").removesuffix("/chat/completions") + "/models"
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            answer = await client.get(address, headers=_key_of(checkpoint))
    except httpx.HTTPError as error:
        sentence, reason = _("{address} cannot be reached: {reason}."), str(error) or type(error).__name__
        raise CheckpointRefused(sentence.format(address=address, reason=reason.rstrip("."))) from None
    if answer.status_code != 200:
        sentence = _("{address} answers with status {status}.")
        raise CheckpointRefused(sentence.format(address=address, status=answer.status_code))
    try:
        served = [entry["id"] for entry in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        raise CheckpointRefused(_("{address} does not say what it serves.").format(address=address)) from None
    if checkpoint.revision not in served:
        sentence = _("The endpoint does not serve “{name}” but: {served}.")
        raise CheckpointRefused(sentence.format(name=checkpoint.revision, served=", ".join(map(str, served[:10]))))


def _key_of(checkpoint: Checkpoint) -> dict[str, str]:
    if checkpoint.api_key_variable is None:
        return {}
    key = os.environ.get(checkpoint.api_key_variable, "").strip()
    if not key:
        sentence = _("The environment variable {name} is not set.")
        raise CheckpointRefused(sentence.format(name=checkpoint.api_key_variable))
    return {"Authorization": f"Bearer {key}"}
