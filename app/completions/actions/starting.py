"""A project with all that its maker brought along, whole or not at all: prompts, answers, people."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.access import Person
from app.accounts.actions.invite import Given, invite_members
from app.accounts.forms import MemberInvitationForm
from app.checkpoints.queries import writers_of
from app.completions.actions.importing import import_completions
from app.errors import Invalid
from app.projects.actions import create_project
from app.projects.sitting import Sitting, as_lines
from app.projects.tables import Project
from app.prompts.actions import import_prompts
from app.prompts.forms import Report
from app.translation import _


@dataclass(frozen=True)
class Brought:
    """A file that came along."""

    name: str
    stream: BinaryIO


@dataclass
class Started:
    """reports: what became of each file and of pasted prompts. given: links to hand over, or addresses mailed to."""

    project: Project
    reports: list[Report] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)


async def start_project(
    session: AsyncSession, form: Sitting, maker: Person, prompts: Brought | None, answers: Brought | None
) -> Started:
    """:raises Invalid: naming the field; then nothing of it is kept, whatever was done before."""
    known = {row.public_id: row.id for row in await writers_of(session, None)}
    if form.checkpoint is not None and form.checkpoint not in known:
        raise Invalid(field="checkpoint", reason=_("there is no such checkpoint that is ready"))
    checkpoint_id = known[form.checkpoint] if form.checkpoint else None
    async with session.begin_nested():
        started = Started(await create_project(session, form.project(maker.zone), maker.id, checkpoint_id))
        project_id = started.project.id
        if form.prompts.strip():
            pasted = Brought(_("pasted"), BytesIO(as_lines(form.prompts)))
            report = await import_prompts(session, project_id, pasted.name, pasted.stream, maker.id)
            started.reports.append(some_came(report, "prompts"))
        if prompts is not None:
            report = await import_prompts(session, project_id, prompts.name, prompts.stream, maker.id)
            started.reports.append(some_came(report, "prompts_file"))
        if answers is not None:
            report = await import_completions(session, project_id, answers.name, answers.stream, maker.id)
            started.reports.append(some_came(report, "answers_file"))
        if form.people:
            invited = MemberInvitationForm(emails=list(form.people))
            started.given = await invite_members(session, project_id, invited, maker)
    return started


def some_came(report: Report, field: str) -> Report:
    """:raises Invalid: nothing of it could be used; the first reason is told."""
    if report.total > report.refused + report.conflicting:
        return report
    first = next((line for line in report.lines if line.reason), None)
    reason = _("line {line}: {reason}").format(line=first.line, reason=first.reason) if first else _("it is empty")
    raise Invalid(field=field, reason=_("nothing of it could be used; {reason}").format(reason=reason))
