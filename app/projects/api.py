"""REST: projects, their protocol and their guidelines."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.accounts.access import Access, may, signed_in
from app.accounts.permissions import Permission, Role
from app.checkpoints.actions import must_answer
from app.checkpoints.queries import checkpoint_of, serving, writers_of
from app.database import Session
from app.errors import Invalid
from app.projects.actions import (
    agree,
    change_consent,
    change_protocol,
    create_project,
    edit_care,
    edit_project,
)
from app.projects.care import CareEdit, categories_of, members_of, offered
from app.projects.forms import ConsentGiven, GuidelinesEdit, NewProject, ProjectEdit, ProtocolEdit
from app.projects.protocols import ProtocolBody, protocol_of
from app.projects.queries import (
    Progress,
    default_batch,
    get_project,
    my_projects,
    newest_consent,
    newest_guidelines,
    newest_protocol,
    progress_of,
)
from app.projects.rules import Shares
from app.projects.tables import Project, ProjectState
from app.tasks.actions import chosen_of, opt, opted
from app.translation import _

router = APIRouter(tags=["projects"])
Reader = Annotated[Access, may(Permission.project_read)]
Maker = Annotated[Access, may(Permission.project_create)]
Editor = Annotated[Access, may(Permission.project_edit)]
Annotator = Annotated[Access, may(Permission.annotate)]


class ProjectLine(BaseModel):
    """A project in the list. role empty: an admin who is no member."""

    id: UUID
    name: str
    state: ProjectState
    role: Role | None


class ProtocolView(BaseModel):
    version: int
    body: ProtocolBody


class GuidelinesView(BaseModel):
    version: int
    markdown: str


class ConsentView(BaseModel):
    """The text to agree to before the next task. version and markdown empty: none is asked for. given: the version that
    you agreed to last."""

    version: int | None
    markdown: str
    given: int | None


class ProgressView(BaseModel):
    """Answers: given, being given now, still wanted."""

    done: int
    leased: int
    free: int


class ProjectView(BaseModel):
    """A project. checkpoint, progress, and in the protocol who answers in conversations and how they are asked: only
    for those who may see them."""

    id: UUID
    name: str
    description: str
    state: ProjectState
    zone: str
    version: int
    k: int
    daily_limit: int
    edit_minutes: int
    low_water: int
    generation_limit: int
    split: Shares
    checkpoint: UUID | None = None
    progress: ProgressView | None = None
    protocol: ProtocolView
    guidelines: GuidelinesView
    created_at: datetime


async def view(session: Session, project: Project, access: Access) -> ProjectView:
    protocol, guidelines = await newest_protocol(session, project.id), await newest_guidelines(session, project.id)
    plain = ("name", "description", "state", "zone", "version", "daily_limit", "edit_minutes", "low_water")
    shown: dict[str, Any] = {field: getattr(project, field) for field in plain}
    if access.may(Permission.checkpoint_read) and (chosen := await serving(session, project.id)):
        shown["checkpoint"] = chosen.public_id
    if access.may(Permission.progress_read):
        counted = (await progress_of(session, [project.id], None)).get(project.id, Progress())
        shown["progress"] = ProgressView(done=counted.done, leased=counted.leased, free=counted.free)
    asked = protocol_of(protocol.body)
    if not access.may(Permission.checkpoint_read):
        asked = asked.for_people()
    await session.refresh(project, ["created_at"])
    return ProjectView(
        id=project.public_id,
        k=(await default_batch(session, project.id)).k,
        generation_limit=project.generation_limit,
        split=Shares.model_validate(project.split),
        protocol=ProtocolView(version=protocol.version, body=asked),
        guidelines=GuidelinesView(version=guidelines.version, markdown=guidelines.markdown),
        created_at=project.created_at,
        **shown,
    )


class CategoryView(BaseModel):
    """daily_cap: tasks of it that one person is shown on one day. tags: imported prompts that carry one are of it."""

    key: str
    name: str
    about: str
    tags: list[str]
    daily_cap: int | None


class CareView(BaseModel):
    """version: of the project. mine: keys that the caller opted into. help: in Markdown."""

    version: int
    categories: list[CategoryView]
    mine: list[str]
    help: str


class MyCare(BaseModel):
    model_config = ConfigDict(extra="forbid")
    categories: list[Annotated[str, Field(max_length=40)]] = Field(max_length=9)


@router.get("/projects")
async def list_projects(access: Annotated[Access, signed_in()], session: Session) -> list[ProjectLine]:
    """Projects that the caller has a part in, newest first; an admin sees all."""
    return [
        ProjectLine(id=one.project.public_id, name=one.project.name, state=one.project.state, role=one.role)
        for one in await my_projects(session, access)
    ]


@router.post("/projects", status_code=201)
async def create(
    form: NewProject, access: Annotated[Access, may(Permission.project_create)], session: Session
) -> ProjectView:
    """A project with its protocol, guidelines and open default batch. Without `checkpoint` nothing answers yet."""
    known = {row.public_id: row.id for row in await writers_of(session, None)}
    if form.checkpoint is not None and form.checkpoint not in known:
        raise Invalid(field="checkpoint", reason=_("there is no such checkpoint that is ready"))
    checkpoint_id = known[form.checkpoint] if form.checkpoint else None
    return await view(session, await create_project(session, form, access.person.id, checkpoint_id), access)


@router.get("/projects/{project}")
async def show(project: UUID, access: Reader, session: Session) -> ProjectView:
    """One project with its newest protocol and guidelines."""
    return await view(session, await get_project(session, access.of_project()), access)


@router.patch("/projects/{project}")
async def edit(project: UUID, form: ProjectEdit, access: Editor, session: Session) -> ProjectView:
    """Change what the body names. 409 when the project has moved on from `version`; the sentence names both values."""
    checkpoint = await checkpoint_of(session, access.of_project(), form.checkpoint) if form.checkpoint else None
    if checkpoint is not None:
        must_answer(checkpoint)
    checkpoint_id = checkpoint.id if checkpoint else None
    edited = await edit_project(session, access.of_project(), form, access.person.id, checkpoint_id)
    return await view(session, edited, access)


@router.put("/projects/{project}/protocol")
async def put_protocol(project: UUID, form: ProtocolEdit, access: Editor, session: Session) -> ProtocolView:
    """A new version; answers keep the one they were given under."""
    protocol = await change_protocol(session, access.of_project(), form.body, access.person.id, form.version)
    return ProtocolView(version=protocol.version, body=protocol_of(protocol.body))


@router.get("/projects/{project}/care")
async def show_care(project: UUID, access: Annotator, session: Session) -> CareView:
    """What prompts here may be sensitive for, where to find help, and what you opted into."""
    return await care_view(session, await get_project(session, access.of_project()), access)


@router.put("/projects/{project}/care")
async def put_care(project: UUID, form: CareEdit, access: Editor, session: Session) -> CareView:
    """All categories, and the help text. Those left out are taken away; 409 while prompts carry one of them."""
    return await care_view(session, await edit_care(session, access.of_project(), form, access.person.id), access)


@router.put("/projects/{project}/care/mine")
async def put_my_care(project: UUID, form: MyCare, access: Annotator, session: Session) -> CareView:
    """Be shown tasks of exactly these categories beside those that are not sensitive; none of them: leave all."""
    found = await get_project(session, access.of_project())
    await opt(session, access, chosen_of(found, form.categories))
    return await care_view(session, found, access)


async def care_view(session: Session, project: Project, access: Access) -> CareView:
    categories = categories_of(project.care)
    mine = members_of(await opted(session, access), categories)
    return CareView(
        version=project.version,
        categories=[CategoryView(**one.model_dump(exclude={"retired"})) for one in offered(categories)],
        mine=[one.key for one in mine],
        help=project.help,
    )


@router.put("/projects/{project}/consent")
async def put_consent(project: UUID, form: GuidelinesEdit, access: Editor, session: Session) -> ConsentView:
    """A new version of the consent text, in Markdown; an empty one asks for nothing. version: 0 where there is none."""
    text = await change_consent(session, access.of_project(), form.markdown, access.person.id, form.version)
    asks = text is not None and bool(text.markdown.strip())
    return ConsentView(
        version=text.version if text and asks else None,
        markdown=text.markdown if text else "",
        given=access.consent_given,
    )


@router.get("/projects/{project}/consent")
async def read_consent(project: UUID, access: Annotator, session: Session) -> ConsentView:
    """What this project asks you to agree to before your next task."""
    text = await newest_consent(session, access.of_project())
    return ConsentView(
        version=access.consent_wanted, markdown=text.markdown if text else "", given=access.consent_given
    )


@router.post("/projects/{project}/consent", status_code=204)
async def give_consent(project: UUID, form: ConsentGiven, access: Annotator, session: Session) -> None:
    """Agree to this version of the text. 409 when there is a newer one to read."""
    await agree(session, access, form.version)
