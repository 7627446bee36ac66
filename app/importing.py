"""`hone import`: a file of prompts, answers or labelled data from the command line, with the report as everywhere."""

from enum import StrEnum
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.completions.actions import import_completions
from app.datasets.importing import import_dataset
from app.errors import DomainError
from app.projects.queries import project_by_name, project_by_public_id
from app.projects.tables import Project
from app.prompts.actions import import_prompts
from app.prompts.forms import Report
from app.translation import _


class CannotImport(DomainError):
    sentence = _("{reason}")


class Subject(StrEnum):
    """What the lines of a file are."""

    prompts = "prompts"
    answers = "answers"
    dataset = "dataset"


TAKE = {Subject.prompts: import_prompts, Subject.answers: import_completions, Subject.dataset: import_dataset}


async def bring(project: str, file: Path, subject: Subject, *, dry_run: bool) -> Report:
    """Import `file` into the project with this id or name, in one transaction.

    :raises CannotImport: no such project, or the file cannot be read.
    """
    try:
        stream = file.open("rb")
    except OSError as error:
        raise CannotImport(reason=f"{file}: {error.strerror}") from None
    with stream:
        try:
            async with database.transaction() as session:
                found = await _named(session, project)
                await database.between_transactions(session)
                return await TAKE[subject](session, found.id, file.name, stream, None, dry_run=dry_run)
        finally:
            await database.dispose()


async def _named(session: AsyncSession, project: str) -> Project:
    try:
        found = await project_by_public_id(session, UUID(project))
    except ValueError:
        found = await project_by_name(session, project)
    if found is None:
        raise CannotImport(reason=_("No project is called “{name}”.").format(name=project))
    return found


def in_lines(report: Report) -> list[str]:
    """The report for a terminal: a line for every one that did not come in, then the counts."""
    told = [f"{line.line}: {_(line.outcome.value)}: {line.reason}" for line in report.lines if line.reason]
    dry = _(" (nothing was kept: dry run)") if report.dry_run else ""
    return [*told, report.sentence + dry]
