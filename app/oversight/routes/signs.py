"""Page: whose answers look like a program's, or like nobody's who reads; each sign with its evidence."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.accounts.access import Access, may
from app.accounts.permissions import Permission
from app.cursors import Cursor
from app.database import Session
from app.oversight.people import people_of
from app.oversight.signs import page_of_signs
from app.oversight.wording import NAMES, meaning_of, measured, name_of
from app.pages import respond
from app.projects.queries import get_project
from app.translation import _

router = APIRouter(prefix="/projects/{project}/annotators/signs")
Reader = Annotated[Access, may(Permission.member_list)]


@router.get("")
async def index(
    request: Request,
    project: UUID,
    access: Reader,
    session: Session,
    sign: Annotated[str, Query(max_length=20, pattern="^[a-z]*$")] = "any",
    cursor: Cursor = None,
) -> Response:
    """sign: only those with this one raised; empty: everybody who has figures."""
    found = await get_project(session, access.of_project())
    people = await people_of(session, access, found)
    page: dict[str, Any] = {
        "project": found,
        "people": people,
        "found": page_of_signs(people.rows, sign, cursor),
        "sign": sign,
        "signs": [("any", _("one or more")), *((name, name_of(name)) for name in NAMES), ("", _("any or none"))],
        "names": list(NAMES),
        "name": name_of,
        "measured": measured,
        "meaning": meaning_of,
        "asking": _asking,
        "base": f"/projects/{project}",
    }
    return respond(request, "oversight/signs.html", "signs", **page)


def _asking(raised: list[str]) -> str:
    """The rest of the address that asks somebody, with the beginning of a question."""
    about = ", ".join(name_of(one) for one in raised)
    text = _("Something about your answers stood out to us ({signs}). How do you go about them?").format(signs=about)
    return urlencode({"does": "message", "text": text if raised else ""})
