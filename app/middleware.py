"""What stands before every route: a number for the request, the language it asks for, where it may come from, how large
it may be, and the headers that every answer carries. Plain ASGI, a few microseconds a request: the annotate path is
behind it.
"""

import re
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import DomainError, Forbidden, TooLarge, is_rest, show
from app.settings import Settings, get_settings
from app.translation import LANGUAGES, Reader, _, reader, reader_asked_for, reader_of

MEBIBYTE = 1 << 20
LARGEST_FORM = 2 * MEBIBYTE
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HERE = frozenset({b"same-origin", b"none"})  # none: typed, or from a bookmark

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
CONTENT_POLICY = (b"content-security-policy", POLICY.encode())
TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
LANGUAGE = re.compile(rb"(?:^|;)\s*hone_language=([a-z]{2,3})(?:;|$)")
SAID = re.compile(r"/api/v1/(?:tasks|annotations)/")  # answers of people, which are no files
RawHeaders = Iterable[tuple[bytes, bytes]]


class FromElsewhere(Forbidden):
    code = "cross-site"
    sentence = _(
        "This request did not come from a page of this site, so nothing was done. Reload the page and try again."
    )


class BodyTooLarge(HTTPException):
    """An HTTPException because FastAPI turns every other error of a body into a plain 400."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, str(too_large(limit)))


def install(app: FastAPI, settings: Settings | None = None) -> None:
    """Put the gate before `app`: also before Starlette's own error page, so that a 500 carries the headers too."""
    build = app.build_middleware_stack
    setattr(app, "build_middleware_stack", lambda: Gate(build(), settings or get_settings()))  # noqa: B010


class Gate:
    """The ASGI application in front of ours."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.largest_body = settings.max_body_mb * MEBIBYTE
        self.public = _origin_of(str(settings.public_url)) if settings.public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = number
        send = _with_headers(send, number.encode(), secure=scope["scheme"] == "https")
        token = reader.set(reader_of_request(scope))
        try:
            await self.admit(scope, receive, send)
        finally:
            reader.reset(token)

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in UNSAFE:
            refused, receive = self.examine(scope, receive)
            if refused:
                await _refuse(refused, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def examine(self, scope: Scope, receive: Receive) -> tuple[DomainError | None, Receive]:
        """Why an unsafe request is refused, if it is, and how the rest of its body may be read."""
        sent = dict(scope["headers"])
        if not may_come_from(sent, scope["scheme"], self.public):
            return FromElsewhere(), receive
        limit = self.limit(scope["path"], sent)
        length = sent.get(b"content-length", b"")
        if length:  # uvicorn holds the body to the length it names
            return (too_large(limit) if not length.isdigit() or int(length) > limit else None), receive
        return None, _counted(receive, limit)

    def limit(self, path: str, sent: dict[bytes, bytes]) -> int:
        """Bytes a body may have: files and what programs bring by the setting; what is typed into forms, and what is
        said about a task over REST, at most two MiB."""
        is_file = sent.get(b"content-type", b"").startswith(b"multipart/")
        large = is_file or (path.startswith("/api/") and not SAID.match(path))
        return self.largest_body if large else min(LARGEST_FORM, self.largest_body)


def reader_of_request(scope: Scope) -> Reader:
    """Who reads the answer, as far as the request says: a choice made in this browser, else its Accept-Language."""
    accept = cookie = b""
    for name, value in scope["headers"]:
        if name == b"accept-language":
            accept = value
        elif name == b"cookie":
            cookie = value
    if b"hone_language=" in cookie and not is_rest(scope):
        chosen = LANGUAGE.search(cookie)
        if chosen and chosen[1].decode() in LANGUAGES:
            return reader_of(chosen[1].decode())
    return reader_asked_for(accept[:1000])


def may_come_from(sent: dict[bytes, bytes], scheme: str, public: str | None) -> bool:
    """Whether an unsafe request comes from a page of ours, or from a program with a token of its own.

    Browsers say where a request comes from in Sec-Fetch-Site; those that do not (plain http in a local network)
    name the Origin. A bearer token without a cookie is never sent by a browser on another site's behalf.
    """
    if b"cookie" not in sent and sent.get(b"authorization", b"")[:7].lower() == b"bearer ":
        return True
    site = sent.get(b"sec-fetch-site")
    if site is not None:
        return site in HERE
    origin = sent.get(b"origin", b"").decode("latin-1")
    return origin != "" and origin in (f"{scheme}://{sent.get(b'host', b'').decode('latin-1')}", public)


def too_large(limit: int) -> TooLarge:
    return TooLarge(limit=f"{limit // MEBIBYTE} MiB")


def _origin_of(address: str) -> str:
    parts = urlsplit(address)
    standing = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.removesuffix(standing)}"


def _counted(receive: Receive, limit: int) -> Receive:
    """Receives until `limit` bytes have come, for bodies that do not name their length."""
    left = limit

    async def next_part() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLarge(limit)
        return message

    return next_part


def _with_headers(send: Send, number: bytes, *, secure: bool) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            given = [*HEADERS, (b"x-request-id", number)]
            if secure:
                given.append(TRANSPORT)
            if not any(name == CONTENT_POLICY[0] for name, _value in own):  # files of people's bring a stricter one
                given.append(CONTENT_POLICY)
            message = {**message, "headers": own + given}
        await send(message)

    return with_headers


async def _refuse(error: DomainError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body; the connection ends, since what follows on it would be that body."""
    answer: Any = show(Request(scope), error)
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)
