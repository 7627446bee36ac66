"""One's own account: name and zone, keys, password, sign-ins, API tokens."""

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Form, Request, Response

from app.accounts.access import Access, in_person
from app.accounts.actions.people import edit_profile, keep_preferences
from app.accounts.actions.sign_in import change_password, end_sign_in, end_sign_ins
from app.accounts.actions.tokens import make_api_token, revoke_token
from app.accounts.forms import PasswordChangeForm, ProfileForm, TokenForm
from app.accounts.permissions import Permission, Role
from app.accounts.queries import own_sign_ins, own_tokens, projects_for_tokens
from app.accounts.routes.browsers import browser_of
from app.accounts.rules import program_of
from app.database import Session
from app.pages import redirect, respond
from app.shortcuts import actions, checked, fixed, own_keys
from app.translation import LANGUAGES, _

# the languages of numbers, each in its own words: whoever looks for theirs reads that one
NAMES = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "it": "Italiano",
    "nl": "Nederlands",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "sv": "Svenska",
}

router = APIRouter(prefix="/account")
Me = Annotated[Access, in_person()]


def languages() -> list[tuple[str, str]]:
    """What may be chosen: the languages of the pages, then those that only numbers are written in."""
    partly = [
        (tag, _("{language} (numbers only)").format(language=name))
        for tag, name in NAMES.items()
        if tag not in LANGUAGES
    ]
    return [("", _("As the browser asks")), *LANGUAGES.items(), *partly]


def pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    """Words as options of a choice, each standing for itself."""
    return [(word, word) for word in words]


@router.get("")
async def show_account(request: Request, session: Session, me: Me) -> Response:
    sign_ins = await own_sign_ins(session, me.person.id)
    told: dict[str, Any] = {
        "sign_ins": [(sign_in, program_of(sign_in.user_agent)) for sign_in in sign_ins],
        "current": me.sign_in_id,
        "zones": pairs(sorted(available_timezones())),
        "locales": languages(),
    }
    return respond(request, "accounts/account.html", **told)


@router.post("")
async def submit_profile(request: Request, form: Annotated[ProfileForm, Form()], session: Session, me: Me) -> Response:
    await edit_profile(session, me.person, form)
    return redirect(request, "/account", _("Saved."))


@router.post("/password")
async def submit_password(
    request: Request, form: Annotated[PasswordChangeForm, Form()], session: Session, me: Me
) -> Response:
    current, chosen = form.current.get_secret_value(), form.password.get_secret_value()
    assert me.sign_in_id is not None
    await change_password(session, me.person.id, current, chosen, here=me.sign_in_id, browser=browser_of(request))
    return redirect(request, "/account", _("Your password is changed, and you are signed out everywhere else."))


@router.post("/sign-ins/{sign_in}/end")
async def submit_end(request: Request, sign_in: UUID, session: Session, me: Me) -> Response:
    await end_sign_in(session, me.person.id, sign_in)
    return redirect(request, "/account", _("That sign-in is over."))


@router.post("/sign-ins/end-others")
async def submit_end_others(request: Request, session: Session, me: Me) -> Response:
    await end_sign_ins(session, me.person.id, but=me.sign_in_id)
    return redirect(request, "/account", _("You are signed out everywhere else."))


@router.get("/keys")
async def show_keys(request: Request, me: Me) -> Response:
    kept = me.person.preferences
    return keys_page(request, chosen=own_keys(kept), confirms=bool(kept.get("confirms")))


@router.post("/keys")
async def submit_keys(request: Request, session: Session, me: Me) -> Response:
    """Fields are named `key.` and the page's own key."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    wanted = {} if "reset" in sent else {name.removeprefix("key."): sent[name] for name in sent if name[:4] == "key."}
    confirms = "confirms" in sent
    try:
        chosen = checked(wanted)
    except ValueError as refusal:
        return keys_page(request, 422, chosen=wanted, confirms=confirms, refusal=refusal)
    await keep_preferences(session, me.person, keys=chosen, confirms=confirms)
    return redirect(request, "/account/keys", _("Saved."))


def keys_page(request: Request, status: int = 200, **told: Any) -> Response:
    page = {"actions": actions(), "fixed": fixed(), "refusal": None} | told
    return respond(request, "accounts/keys.html", "keys", status, **page)


@router.get("/tokens")
async def show_tokens(request: Request, session: Session, me: Me) -> Response:
    return await tokens_page(request, session, me)


@router.post("/tokens")
async def submit_token(request: Request, form: Annotated[TokenForm, Form()], session: Session, me: Me) -> Response:
    made = await make_api_token(session, me, form)
    return await tokens_page(request, session, me, made=made.text)


@router.post("/tokens/{token}/revoke")
async def submit_revoke(request: Request, token: UUID, session: Session, me: Me) -> Response:
    await revoke_token(session, me.person.id, token)
    return redirect(request, "/account/tokens", _("The token is revoked."))


async def tokens_page(request: Request, session: Session, me: Access, made: str | None = None) -> Response:
    """The tokens, and once the text of the one just made."""
    tokens = await own_tokens(session, me.person.id)
    projects = await projects_for_tokens(session, me)
    told: dict[str, Any] = {
        "tokens": tokens,
        "projects": [(project.public_id, project.name) for project in projects],
        "roles": [(role, _(role)) for role in Role],
        "scopes": list(Permission),
        "made": made,
    }
    return respond(request, "accounts/tokens.html", "tokens", **told)
