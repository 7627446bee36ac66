"""The browser at the other end: where it is, and the cookie it is given."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from app.accounts.access import cookie_of
from app.accounts.actions.attempts import Browser
from app.accounts.credentials import COOKIE, LONGEST, SECURE_COOKIE, is_secure
from app.settings import address_of, get_settings


def browser_of(request: Request) -> Browser:
    """Where the request comes from, and the cookie that a new sign-in replaces."""
    address = request.client.host if request.client else ""
    return Browser(address, request.headers.get("User-Agent", ""), cookie_of(request))


def give_cookie(request: Request, response: Response, token: str) -> Response:
    """Let the browser keep its sign-in. `__Host-` cookies are bound to https, this host and the whole site."""
    secure = is_secure(request)
    name = SECURE_COOKIE if secure else COOKIE
    age = int(LONGEST.total_seconds())
    response.set_cookie(name, token, max_age=age, path="/", secure=secure, httponly=True, samesite="lax")
    return response


def take_cookie(request: Request, response: Response) -> Response:
    for name, secure in ((SECURE_COOKIE, True), (COOKIE, False)):
        if name in request.cookies:
            response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    return response


def keep_language(request: Request, response: Response, language: str) -> Response:
    """Let the browser keep the language that its pages before sign-in are in (app/middleware.py reads it)."""
    secure = is_secure(request)
    response.set_cookie("hone_language", language, max_age=31536000, secure=secure, httponly=True, samesite="lax")
    return response


def inside(address: str) -> str:
    """A path of this site, or the start page: a link must not lead elsewhere after sign-in."""
    parts = urlsplit(address)
    is_ours = address.startswith("/") and not parts.netloc and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() and "\\" not in address else "/"


def absolute(request: Request, path: str) -> str:
    """A link to hand over: at the public address when there is one, else as this browser reached us."""
    return address_of(get_settings(), reached=str(request.base_url)) + path
