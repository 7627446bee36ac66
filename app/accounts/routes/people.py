"""Everybody of the installation, for its admins."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, may
from app.accounts.actions.invite import Given, give_reset_link, invite, mails, withdraw_invitation
from app.accounts.actions.people import change_admin, disable, enable
from app.accounts.forms import InvitationForm, SearchWords
from app.accounts.permissions import Permission
from app.accounts.queries import open_invitations, people
from app.accounts.routes.browsers import absolute
from app.accounts.tables import User
from app.cursors import Cursor, page_of
from app.database import Session
from app.pages import redirect, respond
from app.translation import _

router = APIRouter(prefix="/people")
Admin = Annotated[Access, may(Permission.installation_manage)]
ROWS = 50


@router.get("")
async def show_people(
    request: Request, session: Session, _admin: Admin, q: SearchWords = "", cursor: Cursor = None
) -> Response:
    return await people_page(request, session, cursor, q=q)


@router.post("/invitations")
async def submit_invitations(
    request: Request, form: Annotated[InvitationForm, Form()], session: Session, admin: Admin
) -> Response:
    given = await invite(session, form, admin.person)
    return await people_page(request, session, given=given)


@router.post("/invitations/{invitation}/withdraw")
async def submit_withdrawal(request: Request, invitation: UUID, session: Session, _admin: Admin) -> Response:
    await withdraw_invitation(session, invitation, None)
    return redirect(request, "/people", _("The invitation is withdrawn."))


@router.post("/{person}/reset")
async def submit_reset_link(request: Request, person: UUID, session: Session, admin: Admin) -> Response:
    given = await give_reset_link(session, person, admin.person)
    return await people_page(request, session, given=[given])


@router.post("/{person}/disable")
async def submit_disable(request: Request, person: UUID, session: Session, admin: Admin) -> Response:
    user = await disable(session, person, admin.person)
    return redirect(request, "/people", _("{name} is disabled.").format(name=user.name))


@router.post("/{person}/enable")
async def submit_enable(request: Request, person: UUID, session: Session, admin: Admin) -> Response:
    user = await enable(session, person, admin.person)
    return redirect(request, "/people", _("{name} may sign in again.").format(name=user.name))


@router.post("/{person}/admin")
async def submit_admin(
    request: Request, person: UUID, is_admin: Annotated[bool, Form()], session: Session, admin: Admin
) -> Response:
    await change_admin(session, person, admin.person, is_admin=is_admin)
    return redirect(request, "/people", _("Saved."))


async def people_page(
    request: Request, session: Session, cursor: str | None = None, given: list[Given] | None = None, q: str = ""
) -> Response:
    """The list, and once the links just made."""
    page = await page_of(session, people(q), User.id, cursor=cursor, limit=ROWS, newest_first=False)
    more = urlencode({"q": q, "cursor": page.next} if q else {"cursor": page.next}) if page.next else None
    links = [(one.email, absolute(request, one.path) if one.path else None) for one in given or []]
    invitations = await open_invitations(session, None)
    told: dict[str, Any] = {"people": page.rows, "next": more, "q": q, "links": links, "mails": mails()}
    told["invitations"] = invitations
    return respond(request, "accounts/people.html", "people", **told)
