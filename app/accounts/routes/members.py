"""A project's people, each reader seeing as much of them as their role allows."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.invite import Given, invite_members, mails, withdraw_invitation
from app.accounts.actions.members import change_member, pause_member
from app.accounts.forms import MemberForm, MemberInvitationForm, SearchWords
from app.accounts.permissions import Permission, Role
from app.accounts.queries import members_like, named_project, open_invitations
from app.accounts.routes.browsers import absolute
from app.accounts.tables import Membership, User
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.translation import _

router = APIRouter(prefix="/projects/{project}/members")
Reader = Annotated[Access, may(Permission.member_list)]
Manager = Annotated[Access, may(Permission.member_manage)]
ROWS = 50


@dataclass(frozen=True)
class Shown:
    """A member as one reader may see them; name and email are None where only the pseudonym may be known."""

    member: Membership
    name: str | None
    email: str | None


def shown(reader: Access, member: Membership, user: User) -> Shown:
    named = reader.may(Permission.member_read) or reader.may(Permission.cohort_read)
    email = user.email if reader.may(Permission.member_read) else None
    return Shown(member, user.name if named else None, email)


@router.get("")
async def show_members(
    request: Request, session: Session, reader: Reader, q: SearchWords = "", cursor: Cursor = None
) -> Response:
    return await members_page(request, session, reader, cursor, q=q)


@router.post("/invitations")
async def submit_invitations(
    request: Request, form: Annotated[MemberInvitationForm, Form()], session: Session, manager: Manager
) -> Response:
    given = await invite_members(session, manager.of_project(), form, manager.person)
    return await members_page(request, session, manager, given=given)


@router.post("/invitations/{invitation}/withdraw")
async def submit_withdrawal(request: Request, invitation: UUID, session: Session, manager: Manager) -> Response:
    await withdraw_invitation(session, invitation, manager.of_project())
    return redirect(request, f"/projects/{manager.project}/members", _("The invitation is withdrawn."))


@router.post("/{member}")
async def submit_member(
    request: Request, member: str, form: Annotated[MemberForm, Form()], session: Session, manager: Manager
) -> Response:
    await change_member(session, manager, member, form)
    return redirect(request, f"/projects/{manager.project}/members", _("Saved."))


@router.post("/{member}/pause")
async def submit_pause(
    request: Request, member: str, paused: Annotated[bool, Form()], session: Session, manager: Manager
) -> Response:
    await pause_member(session, manager, member, paused=paused)
    return redirect(request, f"/projects/{manager.project}/members", _("Saved."))


async def members_page(
    request: Request,
    session: Session,
    reader: Access,
    cursor: str | None = None,
    given: list[Given] | None = None,
    q: str = "",
) -> Response:
    """The list, and once the links just made."""
    asked = members_like(reader, q)
    page = await page_of(session, asked, Membership.id, cursor=cursor, limit=ROWS, newest_first=False)
    told: dict[str, Any] = {
        "project": await named_project(session, reader.of_project()),
        "members": [shown(reader, *row) for row in page.rows],
        "next": urlencode({"q": q, "cursor": page.next} if q else {"cursor": page.next}) if page.next else None,
        "q": q,
        "links": [(one.email, absolute(request, one.path) if one.path else None) for one in given or []],
        "invitations": [],
        "roles": [(role, _(role)) for role in Role],
        "mails": mails(),
    }
    if reader.may(Permission.member_manage):
        told["invitations"] = await open_invitations(session, reader.of_project())
    return respond(request, "accounts/members.html", "members", **told)
