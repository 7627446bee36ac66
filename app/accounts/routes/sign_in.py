"""Pages before and at sign-in: the form, one-time links, forgotten passwords, signing out."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from app.accounts.access import Access, anybody, cookie_of
from app.accounts.actions.invite import forgot, mails
from app.accounts.actions.links import read_link
from app.accounts.actions.sign_in import (
    WrongCredentials,
    reset_password,
    sign_in,
    sign_in_by_link,
    sign_out,
)
from app.accounts.forms import FirstVisitForm, ForgotForm, LanguageForm, NewPasswordForm, SignInForm
from app.accounts.queries import person_behind
from app.accounts.routes.browsers import browser_of, give_cookie, inside, keep_language, take_cookie
from app.accounts.tables import LinkKind
from app.database import Session
from app.errors import TooMany
from app.pages import redirect, respond
from app.translation import _

router = APIRouter()
Visitor = Annotated[Access | None, anybody()]
Onward = Annotated[str, Query(alias="next", max_length=2000)]


@router.get("/sign-in")
async def show_sign_in(request: Request, visitor: Visitor, onward: Onward = "/") -> Response:
    if visitor:
        return redirect(request, inside(onward))
    return respond(request, "accounts/sign_in.html", next=inside(onward), email="", refused=None)


@router.post("/sign-in")
async def submit_sign_in(
    request: Request, form: Annotated[SignInForm, Form()], session: Session, _visitor: Visitor
) -> Response:
    onward = inside(form.next)
    try:
        _user, token = await sign_in(session, form.email, form.password.get_secret_value(), browser_of(request))
    except (WrongCredentials, TooMany) as refused:
        told: dict[str, Any] = {"next": onward, "email": form.email, "refused": refused}
        return respond(request, "accounts/sign_in.html", "sign_in", refused.status, **told)
    return give_cookie(request, redirect(request, onward), token)


@router.post("/sign-out")
async def submit_sign_out(request: Request, session: Session, _visitor: Visitor) -> Response:
    await sign_out(session, cookie_of(request))
    return take_cookie(request, redirect(request, "/sign-in", _("You are signed out.")))


@router.post("/language")
async def submit_language(request: Request, form: Annotated[LanguageForm, Form()], _visitor: Visitor) -> Response:
    return keep_language(request, redirect(request, inside(form.next)), form.locale)


@router.get("/sign-in/{link}")
async def show_link(request: Request, link: str, session: Session, _visitor: Visitor) -> Response:
    found = await read_link(session, LinkKind.sign_in, link)
    person = await person_behind(session, found)
    return respond(request, "accounts/link.html", link=link, is_first=person.password_hash is None, person=person)


@router.post("/sign-in/{link}")
async def submit_link(
    request: Request, link: str, form: Annotated[FirstVisitForm, Form()], session: Session, _visitor: Visitor
) -> Response:
    found = await read_link(session, LinkKind.sign_in, link)
    token = await sign_in_by_link(session, found, form, browser_of(request))
    return give_cookie(request, redirect(request, "/"), token)


@router.get("/forgot")
async def show_forgot(request: Request, _visitor: Visitor) -> Response:
    return respond(request, "accounts/forgot.html", mails=mails())


@router.post("/forgot")
async def submit_forgot(
    request: Request, form: Annotated[ForgotForm, Form()], session: Session, _visitor: Visitor
) -> Response:
    await forgot(session, form.email, browser_of(request))
    told = _("If there is an account with this address, a link is on its way to it.")
    return redirect(request, "/sign-in", told, kind="info")


@router.get("/reset/{link}")
async def show_reset(request: Request, link: str, session: Session, _visitor: Visitor) -> Response:
    await read_link(session, LinkKind.password_reset, link)
    return respond(request, "accounts/reset.html", link=link)


@router.post("/reset/{link}")
async def submit_reset(
    request: Request, link: str, form: Annotated[NewPasswordForm, Form()], session: Session, _visitor: Visitor
) -> Response:
    found = await read_link(session, LinkKind.password_reset, link)
    token = await reset_password(session, found, form.password.get_secret_value(), browser_of(request))
    return give_cookie(request, redirect(request, "/", _("Your new password is set.")), token)
