"""REST: who am I, signing in as a program, one's own tokens, and invitations to a project."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.accounts.access import Access, anybody, in_person, may, signed_in
from app.accounts.actions.invite import accept, invite_members
from app.accounts.actions.links import read_link
from app.accounts.actions.sign_in import sign_in
from app.accounts.actions.tokens import make_api_token, revoke_token
from app.accounts.forms import AcceptForm, MemberInvitationForm, SignInForm, TokenForm
from app.accounts.permissions import Permission, Role
from app.accounts.queries import own_projects, own_tokens
from app.accounts.routes.browsers import browser_of, give_cookie
from app.accounts.tables import ApiToken, LinkKind
from app.database import Session

router = APIRouter(tags=["accounts"])
Me = Annotated[Access, signed_in()]
InPerson = Annotated[Access, in_person()]
Visitor = Annotated[Access | None, anybody()]
Manager = Annotated[Access, may(Permission.member_manage)]


class Place(BaseModel):
    """A project and what the caller is in it; role empty: an admin without a place of their own."""

    project: UUID
    name: str
    role: Role | None


class Whoami(BaseModel):
    id: UUID
    name: str
    email: str
    is_admin: bool
    zone: str
    locale: str
    permissions: list[Permission]
    projects: list[Place]


class Token(BaseModel):
    """project empty: every project of its owner; role empty: whatever its owner may."""

    id: UUID
    name: str
    hint: str
    role: Role | None
    project: UUID | None
    scopes: list[Permission]
    skips_reading: bool
    created_at: datetime
    expires_at: datetime | None
    seen_at: datetime | None


class MadeToken(Token):
    """token: the only time its text is told."""

    token: str


class TokenList(BaseModel):
    tokens: list[Token]


def as_token(row: ApiToken, project: UUID | None) -> dict[str, Any]:
    columns = ("name", "hint", "role", "scopes", "skips_reading", "created_at", "expires_at", "seen_at")
    return {"id": row.public_id, "project": project} | {name: getattr(row, name) for name in columns}


@router.post("/sign-in", status_code=200)
async def submit_sign_in(request: Request, form: SignInForm, session: Session, _visitor: Visitor) -> Response:
    """Sign in with e-mail and password; the session cookie comes with the answer."""
    user, token = await sign_in(session, form.email, form.password.get_secret_value(), browser_of(request))
    return give_cookie(request, JSONResponse({"id": str(user.public_id), "name": user.name}), token)


@router.get("/me")
async def show_me(session: Session, me: Me) -> Whoami:
    """The caller, what they may do outside projects, and their projects."""
    places = await own_projects(session, me.person.id, me.only_project)
    projects = [Place(project=place.public_id, name=place.name, role=place.role) for place in places]
    about = {name: getattr(me.person, name) for name in ("name", "email", "is_admin", "zone", "locale")}
    return Whoami(id=me.person.public_id, permissions=sorted(me.permissions), projects=projects, **about)


@router.get("/tokens")
async def show_tokens(session: Session, me: InPerson) -> TokenList:
    """One's own tokens that are not revoked, newest first."""
    rows = await own_tokens(session, me.person.id)
    return TokenList(tokens=[Token(**as_token(row, project)) for row, _name, project in rows])


@router.post("/tokens", status_code=201)
async def submit_token(form: TokenForm, session: Session, me: InPerson, response: Response) -> MadeToken:
    """Make a token. Its text is in this answer and nowhere else: not even a repetition with the same key tells it."""
    response.headers["Cache-Control"] = "no-store"
    made = await make_api_token(session, me, form)
    return MadeToken(**as_token(made.row, form.project), token=made.text)


@router.delete("/tokens/{token}", status_code=204)
async def submit_revoke(token: UUID, session: Session, me: InPerson) -> None:
    """Revoke one of one's own tokens, at once."""
    await revoke_token(session, me.person.id, token)


class Invited(BaseModel):
    """path: what to hand over, shown once; empty when it goes out by mail."""

    email: str
    path: str | None


@router.post("/projects/{project}/invitations", status_code=201)
async def submit_invitations(
    project: UUID, form: MemberInvitationForm, session: Session, manager: Manager, response: Response
) -> list[Invited]:
    """Invite people to the project by e-mail address; a new invitation replaces an older one."""
    response.headers["Cache-Control"] = "no-store"
    given = await invite_members(session, manager.of_project(), form, manager.person)
    return [Invited(email=one.email, path=one.path) for one in given]


@router.post("/invitations/{link}", status_code=200)
async def accept_invitation(
    request: Request, link: str, form: AcceptForm, session: Session, visitor: Visitor
) -> Response:
    """Accept an invitation; the session cookie comes with the answer for those who were not signed in."""
    found = await read_link(session, LinkKind.invitation, link)
    token = await accept(session, found, form, visitor.person if visitor else None, browser_of(request))
    answer = JSONResponse({"status": "accepted"})
    return give_cookie(request, answer, token) if token else answer
