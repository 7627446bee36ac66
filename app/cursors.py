"""Long lists a page at a time: by keyset, with cursors that tell nothing and cannot be made up.

A cursor holds the last row's place in the order, enciphered under a tag over it (a synthetic initialisation vector:
Rogaway and Shrimpton 2006), so inside ids stay inside and a cursor of one list opens no other.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Query
from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute

from app.errors import DomainError
from app.keys import key_for
from app.translation import _

MOST = 200
TAG = 16

Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows a page, at most 200.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before; empty for the first.")]
Place = ColumnElement[Any] | QueryableAttribute[Any]


class ForgedCursor(DomainError):
    status = 422
    code = "forged-cursor"
    sentence = _("cursor: this is not a place in this list. Take `next` from the page before, or leave it out.")


class WrongLimit(DomainError):
    status = 422
    code = "wrong-limit"
    sentence = _("limit: {limit} is not between 1 and 200.")


@dataclass(frozen=True)
class Page:
    """rows: what the query selects (entities alone, several columns as tuples); next: cursor of the following page."""

    rows: list[Any]
    next: str | None


def stream(tag: bytes, length: int) -> bytes:
    return hashlib.shake_256(key_for("cursors.stream") + tag).digest(length)


def tag_of(scope: str, plain: bytes) -> bytes:
    return hmac.digest(key_for("cursors.tag"), scope.encode() + b"\0" + plain, hashlib.sha256)[:TAG]


def crossed(text: bytes, tag: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(text, stream(tag, len(text)), strict=True))


def seal(scope: str, values: list[Any]) -> str:
    """The cursor for a row whose ordering columns have these values."""
    plain = orjson.dumps(values)
    tag = tag_of(scope, plain)
    return urlsafe_b64encode(tag + crossed(plain, tag)).decode().rstrip("=")


def unseal(scope: str, cursor: str) -> list[Any]:
    """The values behind a cursor.

    :raises ForgedCursor: made up, cut, or from another list.
    """
    try:
        sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (NotBase64, ValueError):
        raise ForgedCursor from None
    tag, plain = sealed[:TAG], crossed(sealed[TAG:], sealed[:TAG])
    if len(sealed) <= TAG or not hmac.compare_digest(tag, tag_of(scope, plain)):
        raise ForgedCursor
    values: list[Any] = orjson.loads(plain)
    return values


def bound(column: Place, value: Any) -> BindParameter[Any]:
    """A cursor's value in the type of its column (instants travel as text)."""
    wants_instant = getattr(column.type, "python_type", None) is datetime
    return bindparam(None, datetime.fromisoformat(value) if wants_instant else value, column.type, unique=True)


def page_of_list(rows: Sequence[Any], names: Sequence[str], *, scope: str, cursor: str | None, limit: int = 50) -> Page:
    """One page of a list that is at hand and in order. names: of the rows, each once; a cursor holds the last one's,
    and where it stood, should it be there no more. scope: which list, and its order.

    :raises ForgedCursor:
    """
    begin = 0
    if cursor:
        name, place = unseal(scope, cursor)
        begin = names.index(name) + 1 if name in names else place
    end = begin + limit
    more = seal(scope, [names[end - 1], end]) if end < len(rows) else None
    return Page(list(rows[begin:end]), more)


async def page_of(
    session: AsyncSession,
    query: Select[*tuple[Any, ...]],
    *by: Place,
    cursor: str | None = None,
    limit: int = 50,
    newest_first: bool = True,
) -> Page:
    """One page of `query`, ordered by the columns `by`: never NULL, and together unique, so end with an id.

    :raises ForgedCursor: the cursor was not made for this order. :raises WrongLimit: outside 1 to 200.
    """
    if not 1 <= limit <= MOST:
        raise WrongLimit(limit=limit)
    scope = f"{','.join(str(column) for column in by)} {newest_first}"
    places = [column.label(f"cursor_{number}") for number, column in enumerate(by)]
    found = query.add_columns(*places).limit(limit + 1)
    found = found.order_by(None).order_by(*((column.desc() if newest_first else column.asc()) for column in by))
    if cursor:
        values = unseal(scope, cursor)
        here = tuple_(*by)
        place = tuple_(*(bound(column, value) for column, value in zip(by, values, strict=True)))
        found = found.where(here < place if newest_first else here > place)
    rows = [tuple(row) for row in await session.execute(found)]
    more = seal(scope, list(rows[limit - 1][-len(by) :])) if len(rows) > limit else None
    shown = [row[: -len(by)] for row in rows[:limit]]
    return Page([row[0] if len(row) == 1 else row for row in shown], more)
