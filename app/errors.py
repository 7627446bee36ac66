"""Everything that can go wrong for a reader of ours, as one tree of sentences, and the one handler that shows them.

DomainError
├── Invalid        422  the request names something impossible
├── SignInNeeded   401  nobody is signed in
├── Forbidden      403  the person is known and may not
├── NotFound       404  absent, or not for these eyes: the two are not told apart
├── Conflict       409  the world moved on
├── TooLarge       413
├── TooMany        429  slow down
└── Unavailable    503  a part we need is away for a moment
"""

import logging

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from app.findings import reason_of
from app.pages import respond
from app.translation import _
from app.unions import steps_to

log = logging.getLogger("hone.errors")


class DomainError(Exception):
    """A sentence for the reader; `{fields}` in it are filled from the keyword arguments."""

    status = 400
    code = "bad-request"
    sentence = _("That request could not be understood.")
    retry_after: int | None = None

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(_(self.sentence).format(**fields))

    @classmethod
    def saying(cls, status: int, code: str, sentence: str) -> "DomainError":
        """One without a class of its own. sentence: shown as it is, also with braces in it."""
        error = cls()
        error.status, error.code, error.args = status, code, (sentence,)
        return error


class Invalid(DomainError):
    status = 422
    code = "invalid"
    sentence = _("{field}: {reason}")


class SignInNeeded(DomainError):
    status = 401
    code = "sign-in-needed"
    sentence = _("Please sign in.")


class Forbidden(DomainError):
    status = 403
    code = "forbidden"
    sentence = _("Your role does not allow this.")


class NotFound(DomainError):
    status = 404
    code = "not-found"
    sentence = _("There is nothing here, or it is not for you.")


class Conflict(DomainError):
    status = 409
    code = "conflict"
    sentence = _("This was changed by somebody else in the meantime.")


class TooLarge(DomainError):
    status = 413
    code = "too-large"
    sentence = _("That is larger than the {limit} allowed here.")


class TooMany(DomainError):
    status = 429
    code = "too-many"
    sentence = _("Too many tries. Please wait a little.")
    retry_after = 60


class Unavailable(DomainError):
    status = 503
    code = "unavailable"
    sentence = _("The database is away for a moment. Nothing of yours is lost; this page tries again by itself.")
    retry_after = 2


def is_rest(scope: Scope) -> bool:
    """Whether a program asks. It is answered in English unless its Accept-Language says otherwise: what it reads must
    not change because a person did something to their account."""
    return str(scope["path"]).startswith("/api/")


def show(request: Request, error: DomainError, details: list[dict[str, str]] | None = None) -> Response:
    """The error as problem JSON (RFC 9457) for programs, as a page or fragment for people."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if is_rest(request.scope):
        problem: dict[str, object] = {
            "type": f"urn:hone:{error.code}",
            "title": str(error),
            "status": error.status,
            "instance": getattr(request.state, "request_id", None),
        }
        if details:
            problem["errors"] = details
        return JSONResponse(problem, error.status, headers, media_type="application/problem+json")
    page = sign_in_page(request) if asks_who_is_there(request, error) else problem_page(request, error, details)
    page.headers.update(headers)
    return page


def asks_who_is_there(request: Request, error: DomainError) -> bool:
    """A whole page that needs a sign-in: the form stands in its place and leads back to it."""
    return type(error) is SignInNeeded and request.method == "GET" and "HX-Request" not in request.headers


def sign_in_page(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return respond(request, "accounts/sign_in.html", status=401, next=here, email="", refused=None)


def problem_page(request: Request, error: DomainError, details: list[dict[str, str]] | None) -> Response:
    shown = {"error": error, "details": details or []}
    return respond(request, "errors.html", "problem", status=error.status, into="notices", **shown)


def readable(error: RequestValidationError) -> list[dict[str, str]]:
    """Pydantic's findings as field and sentence; what was sent is not repeated."""
    return [
        {"field": ".".join(map(str, steps_to(found)[1:])) or str(found["loc"][0]), "reason": reason_of(found)}
        for found in error.errors()
    ]


UNREADABLE = "There was an error parsing the body"  # what FastAPI says of JSON that its reader gives up on


def as_domain_error(error: HTTPException) -> DomainError:
    """Starlette's own refusals (no such route, wrong verb) in our words."""
    if error.detail == UNREADABLE:
        return Invalid(field="body", reason=_("it cannot be read"))
    known: dict[int, type[DomainError]] = {401: SignInNeeded, 403: Forbidden, 404: NotFound, 413: TooLarge}
    if error.status_code in known and error.status_code != 413:
        return known[error.status_code]()
    code = known.get(error.status_code, DomainError).code
    return DomainError.saying(error.status_code, code, str(error.detail))


# Serialisation, deadlock, a lock not had in time, a statement that took too long.
DOES_PASS = {"40001", "40P01", "55P03", "57014"}


def is_passing(error: Exception) -> bool:
    """Whether the database is only away for a moment: connection lost, starting, full, read-only, deadlock, timeout."""
    return is_away(error) or (_sqlstate(error) or "")[:2] == "53" or _sqlstate(error) in DOES_PASS


def is_away(error: BaseException) -> bool:
    """Whether there is no database to ask, whatever is asked: connection lost, starting, stopping, full, read-only."""
    if isinstance(error, PoolTimeout):
        return True
    state = _sqlstate(error)
    if state is None:
        is_cut = isinstance(error, DBAPIError) and error.connection_invalidated
        return is_cut or isinstance(_cause(error), psycopg.OperationalError)
    return state[:2] == "08" or state in {"25006", "53100", "53300", "57P01", "57P02", "57P03", "57P05"}


def _cause(error: BaseException) -> BaseException | None:
    """The driver's own error below what SQLAlchemy or the queue makes of it."""
    if isinstance(error, ConnectorException):
        return error.__cause__
    return error.orig if isinstance(error, DBAPIError) else error


def _sqlstate(error: BaseException) -> str | None:
    return getattr(_cause(error), "sqlstate", None)


def install(app: FastAPI) -> None:
    """Give `app` the handlers for our tree, for bad forms and for a database that is away."""

    @app.exception_handler(DomainError)
    async def domain(request: Request, error: DomainError) -> Response:
        return show(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if not is_rest(request.scope) and all(found["loc"][0] == "path" for found in error.errors()):
            return show(request, NotFound())  # an address that was cut or mistyped
        details = readable(error)
        return show(request, Invalid(**details[0]), details)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return show(request, as_domain_error(error))

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # for nobody: a line that was cut is no mistake of ours

    async def database(request: Request, error: Exception) -> Response:
        if is_passing(error):
            return show(request, Unavailable())
        return await unexpected(request, error)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error", exc_info=error, extra={"request": getattr(request.state, "request_id", None)})
        sentence = _("Something went wrong on our side. The error was noted under the number below.")
        return show(request, DomainError.saying(500, "unexpected", sentence))

    for kind in (OperationalError, DBAPIError, PoolTimeout, psycopg.Error, ConnectorException):
        app.add_exception_handler(kind, database)
    app.add_exception_handler(Exception, unexpected)
