"""What a project and its people agree on: guidelines that were read, consent, what people tell of themselves, rest."""

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.access import Access
from app.accounts.actions.inbox import mark_read
from app.accounts.tables import Letter, Membership
from app.errors import Conflict
from app.markup import render_markdown
from app.projects.actions.projects import EditedMeanwhile, locked
from app.projects.protocols import QuestionsProtocol
from app.projects.queries import newest_about_you, newest_consent, newest_guidelines
from app.projects.tables import AboutYou, ConsentText, Project, ProjectState
from app.translation import _


class ConsentChanged(Conflict):
    code = "consent-changed"
    sentence = _("There is a newer version of this text. Please read that one.")


async def read_guidelines(session: AsyncSession, access: Access, version: int) -> None:
    """Somebody says that they have read the guidelines up to this version; an older one takes nothing back."""
    project_id = access.of_project()
    known = min(version, (await newest_guidelines(session, project_id)).version)
    place = update(Membership).where(Membership.id == access.membership_id)
    newest = func.greatest(func.coalesce(Membership.guidelines_read, 0), known)
    await session.execute(place.values(guidelines_read=newest))
    await mark_read(session, access.person.id, *range(1, known + 1), project_id=project_id, kind=Letter.guidelines)


async def change_consent(
    session: AsyncSession, project_id: int, markdown: str, actor_id: int | None, seen: int | None = None
) -> ConsentText | None:
    """A new version of the consent text, which everybody is asked to agree to before their next task; an empty one
    asks for nothing. seen: the version the editor started from, 0 for none.

    :raises EditedMeanwhile: there is a newer version than `seen`, and it says something else.
    """
    project = await locked(session, project_id)
    newest = await newest_consent(session, project_id)
    there, version = (newest.markdown, newest.version) if newest else ("", 0)
    if there.strip() == markdown.strip():
        return newest
    if seen is not None and seen != version:
        raise EditedMeanwhile([(_("consent"), there, markdown)])
    html = render_markdown(markdown)
    changed = ConsentText(
        project_id=project_id, version=version + 1, markdown=markdown, html=html, created_by_id=actor_id
    )
    session.add(changed)
    project.consent_version = changed.version if markdown.strip() else None
    await session.flush()
    await events.record(session, "consent.changed", actor_id=actor_id, project_id=project_id, subject=changed.version)
    return changed


async def agree(session: AsyncSession, access: Access, version: int) -> None:
    """Keep that somebody agreed to this version of the project's consent text, and when.

    :raises ConsentChanged: it is not the newest one, so they have not read what they would agree to.
    """
    if version != access.consent_wanted:
        raise ConsentChanged
    if access.consent_given == version:
        return
    place = update(Membership).where(Membership.id == access.membership_id)
    await session.execute(place.values(consent_version=version, consent_at=func.now()))
    await note_consent(session, access, "consent.given", version)


async def note_consent(session: AsyncSession, access: Access, kind: str, version: int) -> None:
    """kind: consent.given or consent.declined."""
    await events.record(session, kind, actor_id=access.person.id, project_id=access.of_project(), subject=version)


async def change_about_you(
    session: AsyncSession, project_id: int, body: QuestionsProtocol | None, actor_id: int | None
) -> AboutYou | None:
    """A new version of the form about people themselves; None takes it away. What was said under an old one stays."""
    await locked(session, project_id)
    newest = await newest_about_you(session, project_id)
    wanted = body.as_json() if body else None
    if wanted == (newest.body if newest else None):
        return newest
    version = newest.version + 1 if newest else 1
    changed = AboutYou(project_id=project_id, version=version, body=wanted, created_by_id=actor_id)
    session.add(changed)
    await session.flush()
    await events.record(session, "about_you.changed", actor_id=actor_id, project_id=project_id, subject=version)
    return changed


async def pause(session: AsyncSession, project_id: int, actor_id: int | None, *, paused: bool) -> Project:
    """Hand nothing more out, or go on. What people hold stays theirs. An archived project stays archived."""
    project = await locked(session, project_id)
    before, wanted = project.state, ProjectState.paused if paused else ProjectState.open
    if before is wanted or before is ProjectState.archived:
        return project
    project.state, project.version = wanted, project.version + 1
    await session.flush()
    kind = "project.paused" if paused else "project.resumed"
    await events.record(session, kind, actor_id=actor_id, project_id=project_id, subject=project.public_id)
    return project
