"""The page behind an invitation's link."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, InPersonOnly, anybody
from app.accounts.actions.invite import accept
from app.accounts.actions.links import read_link
from app.accounts.forms import AcceptForm
from app.accounts.queries import invited_to
from app.accounts.routes.browsers import browser_of, give_cookie
from app.accounts.tables import LinkKind
from app.database import Session
from app.pages import redirect, respond
from app.translation import _

router = APIRouter()
Visitor = Annotated[Access | None, anybody()]


@router.get("/invitations/{link}")
async def show_invitation(request: Request, link: str, session: Session, _visitor: Visitor) -> Response:
    found = await read_link(session, LinkKind.invitation, link)
    place = await invited_to(session, found)
    return respond(request, "accounts/invitation.html", link=link, invitation=found, place=place)


@router.post("/invitations/{link}")
async def submit_invitation(
    request: Request, link: str, form: Annotated[AcceptForm, Form()], session: Session, visitor: Visitor
) -> Response:
    if visitor is not None and visitor.token_id is not None:
        raise InPersonOnly  # a token carries one role at most; joining would widen what its person may do
    found = await read_link(session, LinkKind.invitation, link)
    token = await accept(session, found, form, visitor.person if visitor else None, browser_of(request))
    place = await invited_to(session, found)
    answer = redirect(request, f"/projects/{place.public_id}" if place else "/", _("Welcome."))
    return give_cookie(request, answer, token) if token else answer
