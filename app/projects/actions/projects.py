"""What happens to projects: they are made whole, edited without losing anybody's words, and versioned."""

import secrets
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import events
from app.accounts.actions.inbox import tell_everybody
from app.accounts.actions.joining import add_member
from app.accounts.permissions import Role
from app.accounts.tables import Letter, Membership, User
from app.errors import Conflict, NotFound
from app.markup import render_markdown
from app.projects.care import CareEdit, categories_of, members_of, merged, offered
from app.projects.forms import NewProject, ProjectEdit
from app.projects.protocols import ComparisonProtocol, ProtocolBody, protocol_of
from app.projects.queries import default_batch, newest_guidelines, newest_protocol, protocol_of_kind
from app.projects.rules import Entry, Recipe, Shares
from app.projects.tables import Batch, Change, Guidelines, Project, Protocol
from app.translation import _

BESIDE_THE_ROW = {"version", "checkpoint", "k", "split"}


class EditedMeanwhile(Conflict):
    """differences: (field, what is there now, what this editor wrote); nothing was changed."""

    code = "edited-meanwhile"
    sentence = _("Somebody else changed this in the meantime, so nothing was saved. {difference}")

    def __init__(self, differences: list[tuple[str, Any, Any]]) -> None:
        self.differences = differences
        named = (
            _("{field}: it is now “{theirs}”, you wrote “{mine}”.").format(field=field, theirs=theirs, mine=mine)
            for field, theirs, mine in differences
        )
        super().__init__(difference=" ".join(named))


class CategoryInUse(Conflict):
    code = "category-in-use"
    sentence = _("There are prompts of the category “{name}”. Take it off them before you take it away.")


async def create_project(
    session: AsyncSession, form: NewProject, actor_id: int | None, checkpoint_id: int | None = None
) -> Project:
    """A project with its first protocol and guidelines and its open default batch; its maker manages it."""
    project = Project(
        name=form.name,
        description=form.description,
        zone=form.zone,
        daily_limit=form.daily_limit,
        edit_minutes=form.edit_minutes,
        low_water=form.low_water,
        generation_limit=form.generation_limit,
        split=form.split.as_json(),
        checkpoint_id=checkpoint_id,
        gold_share=form.protocol.gold_share,
        secret=secrets.token_bytes(32),
        created_by_id=actor_id,
    )
    session.add(project)
    await session.flush()
    session.add(_protocol(project.id, 1, form.protocol, actor_id))
    session.add(_guidelines(project.id, 1, form.guidelines, actor_id))
    recipe = Recipe(entries=(Entry(same_checkpoint=not form.mixed),)).as_json()
    session.add(Batch(project_id=project.id, name=_("Default"), is_default=True, k=form.k, recipe=recipe))
    await session.flush()
    await events.record(
        session, "project.created", actor_id=actor_id, project_id=project.id, subject=project.public_id, name=form.name
    )
    if actor_id is not None:
        await add_member(session, project.id, await session.get_one(User, actor_id), Role.manager)
    return project


async def edit_project(
    session: AsyncSession, project_id: int, form: ProjectEdit, actor_id: int | None, checkpoint_id: int | None = None
) -> Project:
    """Change the fields that the form names. checkpoint_id: what `form.checkpoint` stands for.

    :raises EditedMeanwhile: the project has moved on from the version that the editor saw.
    """
    project = await locked(session, project_id)
    batch = await default_batch(session, project_id)
    wanted = _wanted(form, checkpoint_id)
    now = {field: getattr(batch if field == "k" else project, field) for field in wanted}
    changes = {field: value for field, value in wanted.items() if value != now[field]}
    if form.version != project.version and changes:
        raise EditedMeanwhile([(field, now[field], value) for field, value in changes.items()])
    for field, value in changes.items():
        setattr(batch if field == "k" else project, field, value)
    if changes:
        project.version += 1
        await session.flush()
        await events.record(
            session,
            "project.edited",
            actor_id=actor_id,
            project_id=project_id,
            subject=project.public_id,
            fields=sorted(changes),
        )
    return project


async def change_protocol(
    session: AsyncSession, project_id: int, body: ProtocolBody, actor_id: int | None, seen: int | None = None
) -> Protocol:
    """A new version; answers keep the one they were given under. seen: the version the editor started from.

    :raises EditedMeanwhile: there is a newer version than `seen`, and it says something else.
    """
    project = await locked(session, project_id)
    newest = await newest_protocol(session, project_id)
    old, new = newest.body, body.as_json()
    if protocol_of(old) == body:
        return newest
    if seen is not None and seen != newest.version:
        raise EditedMeanwhile([(field, old.get(field), new[field]) for field in new if new[field] != old.get(field)])
    changed = _protocol(project_id, newest.version + 1, body, actor_id)
    project.gold_share = body.gold_share
    session.add(changed)
    await session.flush()
    await events.record(
        session, "protocol.changed", actor_id=actor_id, project_id=project_id, subject=changed.version, old=old, new=new
    )
    return changed


async def comparison_protocol(session: AsyncSession, project_id: int) -> Protocol:
    """A protocol to compare two completions under, whatever else the project asks: its newest of that kind.

    A project that never had one gets version 0, which is never its newest.
    """
    await locked(session, project_id)
    found = await protocol_of_kind(session, project_id, "comparison")
    if found is None:
        found = _protocol(project_id, 0, ComparisonProtocol(), None)
        session.add(found)
        await session.flush()
    return found


async def change_guidelines(
    session: AsyncSession,
    project_id: int,
    markdown: str,
    actor_id: int | None,
    seen: int | None = None,
    change: Change = Change.clarification,
) -> Guidelines:
    """A new version, rendered once; a changed rule is read by everybody before their next task. The same words again
    are no new version, unless they are said to change a rule. seen: the version the editor started from.

    :raises EditedMeanwhile: there is a newer version than `seen`, and it says something else.
    """
    project = await locked(session, project_id)
    newest = await newest_guidelines(session, project_id)
    is_told_stronger = change is Change.rule and newest.change is not Change.rule  # whose words stay the same
    if newest.markdown == markdown and not is_told_stronger:
        return newest
    if seen is not None and seen != newest.version:
        raise EditedMeanwhile([(_("guidelines"), newest.markdown, markdown)])
    changed = _guidelines(project_id, newest.version + 1, markdown, actor_id, change)
    session.add(changed)
    if change is Change.rule:
        project.rules_version = changed.version
    await session.flush()
    told = {"actor_id": actor_id, "project_id": project_id, "subject": changed.version}
    await events.record(session, "guidelines.changed", **told, change=change.value)
    if change is not Change.wording:
        await tell_everybody(session, project_id, Letter.guidelines, changed.version, but=actor_id)
    return changed


async def edit_care(session: AsyncSession, project_id: int, form: CareEdit, actor_id: int | None) -> Project:
    """Change the categories of sensitive prompts, and where people find help.

    A category keeps its bit. One that is left out is taken away from whoever opted into it, and its bit is free.

    :raises EditedMeanwhile: the project has moved on from the version that the editor saw.
    :raises CategoryInUse: prompts carry a category that is left out.
    """
    project = await locked(session, project_id)
    before = categories_of(project.care)
    after = merged(before, form.categories)
    stored = [one.model_dump(mode="json") for one in after]
    if stored == project.care and form.help == project.help:
        return project
    if form.version != project.version:
        raise EditedMeanwhile([(_("version"), project.version, form.version)])
    gone = sum(1 << bit for bit, one in enumerate(after) if one.retired)
    carried = [mask for mask in project.care_sets if mask & gone]
    if carried:
        raise CategoryInUse(name=members_of(carried[0] & gone, before)[0].name)
    mine = update(Membership).where(Membership.project_id == project_id, Membership.care.bitwise_and(gone) != 0)
    await session.execute(mine.values(care=Membership.care.bitwise_and(~gone)))
    project.care, project.help, project.help_html = stored, form.help, render_markdown(form.help)
    project.version += 1
    await session.flush()
    keys = [one.key for one in offered(after)]
    await events.record(
        session, "care.edited", actor_id=actor_id, project_id=project_id, subject=project.public_id, categories=keys
    )
    return project


async def locked(session: AsyncSession, project_id: int) -> Project:
    """The project's row, held until the end of the transaction against other editors, not against people's answers.

    :raises NotFound: there is none.
    """
    asked = select(Project).where(Project.id == project_id).with_for_update(key_share=True)
    project = (await session.scalars(asked.execution_options(populate_existing=True))).one_or_none()
    if project is None:
        raise NotFound
    return project


async def count_projects(session: AsyncSession) -> int:
    return (await session.scalar(select(func.count()).select_from(Project))) or 0


def _wanted(form: ProjectEdit, checkpoint_id: int | None) -> dict[str, Any]:
    """The columns that the form speaks about."""
    given = form.model_dump(exclude_unset=True)
    wanted = {field: value for field, value in given.items() if field not in BESIDE_THE_ROW and value is not None}
    if form.k is not None:
        wanted["k"] = form.k
    if form.split is not None:
        wanted["split"] = Shares.as_json(form.split)
    if "checkpoint" in given:
        wanted["checkpoint_id"] = checkpoint_id
    return wanted


def _protocol(project_id: int, version: int, body: ProtocolBody, actor_id: int | None) -> Protocol:
    return Protocol(project_id=project_id, version=version, body=body.as_json(), created_by_id=actor_id)


def _guidelines(
    project_id: int, version: int, markdown: str, actor_id: int | None, change: Change = Change.clarification
) -> Guidelines:
    told = {"version": version, "markdown": markdown, "html": render_markdown(markdown), "change": change}
    return Guidelines(project_id=project_id, created_by_id=actor_id, **told)
