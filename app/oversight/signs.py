"""Whose signs are raised, those with the most first."""

from collections.abc import Sequence

from app.cursors import Page, page_of_list
from app.oversight.people import Row, State

ROWS = 25


def page_of_signs(rows: Sequence[Row], sign: str, cursor: str | None) -> Page:
    """People who have figures, without those who are deactivated. sign: as `people.Only`; empty: raised or not."""
    seen = [row for row in rows if row.known and row.state is not State.deactivated]
    if sign:
        seen = [row for row in seen if (row.raised if sign == "any" else sign in row.raised)]
    seen.sort(key=lambda row: (-len(row.raised), row.pseudonym))
    return page_of_list(seen, [row.pseudonym for row in seen], scope="signs", cursor=cursor, limit=ROWS)
