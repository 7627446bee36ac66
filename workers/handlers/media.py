"""A file that came in, or its address: fetched once, looked at in a process of its own, kept as a clean copy."""

import asyncio
import hashlib
import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.completions.actions import take_in_settled as take_in_completions
from app.media.actions import accept_medium, held_medium, refuse_medium
from app.media.files import came_at, keep
from app.media.jobs import ExamineMedium
from app.media.tables import Medium, MediumKind
from app.projects.actions import locked
from app.prompts.actions import take_in_settled as take_in_prompts
from app.translation import _
from workers.fetching import NotFetched, fetch
from workers.handlers.registry import Context, handles

log = logging.getLogger("hone.media")
MEBIBYTE = 1 << 20
PATIENCE = 90.0  # seconds for the process that looks at it


class Refused(Exception):
    """A file that will not be shown; the text is a sentence."""


@handles(ExamineMedium)
async def examine(job: ExamineMedium, context: Context) -> None:
    """Safe to run twice: what is settled is left alone, and a clean copy has the name of its content."""
    async with context.session() as session:
        medium = await session.get(Medium, job.medium_id)
    if medium is None or medium.state != "waiting":
        return
    came = came_at(medium.public_id)
    came.parent.mkdir(parents=True, exist_ok=True)
    try:
        told = await look_at(medium, came, context)
    except (NotFetched, Refused) as error:
        if getattr(error, "retryable", False) and not context.gives_up(error):
            raise
        await settle(medium, context, reason=str(error))
    except Exception as error:
        if not context.gives_up(error):
            raise
        log.exception("medium %s could not be looked at", medium.public_id)  # and lines must not wait for it for ever
        await settle(medium, context, reason=_("something went wrong here while it was looked at; send it again"))
    else:
        await settle(medium, context, **told)
    came.unlink(missing_ok=True)


async def look_at(medium: Medium, came: Path, context: Context) -> dict[str, Any]:
    """What is known of the file once its clean copy lies in its place.

    :raises NotFetched: it could not be had. :raises Refused: it is none that is shown.
    """
    if medium.source_url is not None:
        await fetch(medium.source_url, came, context.settings.max_media_mb * MEBIBYTE)
    if not await asyncio.to_thread(came.is_file):
        raise Refused(_("the uploaded file is gone; upload it again"))
    source_sha256 = await asyncio.to_thread(_digest, came)
    made = came.with_suffix(".made")
    try:
        told = await clean(came, made)
        sha256, size = await asyncio.to_thread(keep, made)
    finally:
        made.unlink(missing_ok=True)
    measures = {side: told[side] or None for side in ("width", "height")}
    shown = {"kind": MediumKind(told["kind"]), "media_type": told["media_type"]}
    return shown | measures | {"sha256": sha256, "size": size, "source_sha256": source_sha256}


async def clean(came: Path, made: Path) -> dict[str, Any]:
    """Have a process of its own write the clean copy.

    :raises Refused: with its sentence, or because it died or took too long.
    """
    program = [sys.executable, "-m", "workers.media", str(came), str(made)]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        said, _errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        raise Refused(_("it takes too long to look at")) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise Refused(_("it could not be looked at: its content breaks the program that reads it"))
    told: dict[str, Any] = json.loads(said)
    if "refused" in told:
        raise Refused(str(told["refused"]))
    return told


async def settle(medium: Medium, context: Context, *, reason: str | None = None, **told: Any) -> None:
    """Say what became of it, and bring in the lines that waited for it, in one transaction.

    The project's lock first: of two media of one line the later one finds that the earlier is settled.
    """
    async with context.session() as session:
        await locked(session, medium.project_id)
        held = await held_medium(session, medium.id)
        if held is None:
            return
        if reason is None:
            await accept_medium(session, held, **told)
        else:
            await refuse_medium(session, held, reason)
        await take_in_prompts(session, medium.project_id, medium.id)
        await take_in_completions(session, medium.project_id, medium.id)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
