"""Lists a page at a time: nothing twice, nothing left out, nothing made up."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.cursors import ForgedCursor, WrongLimit, page_of, page_of_list, seal
from tests import make


async def walk(session: AsyncSession, limit: int, **order: bool) -> list[str]:
    names, cursor = [], None
    while True:
        page = await page_of(session, select(User), User.created_at, User.id, cursor=cursor, limit=limit, **order)
        names += [user.name for user in page.rows]
        cursor = page.next
        if cursor is None:
            return names


async def five(session: AsyncSession) -> list[str]:
    return [(await make.user(session)).name for _ in range(5)]


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_pages_put_together_are_the_list(session: AsyncSession, limit: int) -> None:
    # all five were made at one instant: the id decides
    names = await five(session)
    assert await walk(session, limit) == names[::-1]
    assert await walk(session, limit, newest_first=False) == names


async def test_a_row_that_came_meanwhile_moves_nothing(session: AsyncSession) -> None:
    names = await five(session)
    first = await page_of(session, select(User.name), User.id, limit=2)
    await make.user(session)
    second = await page_of(session, select(User.name), User.id, limit=2, cursor=first.next)
    assert first.rows + second.rows == names[::-1][:4]


async def test_several_columns_come_as_tuples(session: AsyncSession) -> None:
    person = await make.user(session)
    page = await page_of(session, select(User.name, User.email), User.id, limit=2)
    assert page.rows == [(person.name, person.email)]
    assert page.next is None


async def test_a_forged_cut_or_foreign_cursor_is_refused(session: AsyncSession) -> None:
    await five(session)
    real = (await page_of(session, select(User), User.id, limit=2)).next
    assert real is not None
    foreign = seal("somewhere.else True", [3])
    changed = ("A" if real[0] != "A" else "B") + real[1:]
    for cursor in ("x", "A" * 40, "é", "a" * 41, real[:-4], changed, foreign, "null", "%00"):
        with pytest.raises(ForgedCursor):
            await page_of(session, select(User), User.id, cursor=cursor)
    with pytest.raises(ForgedCursor):  # the same list the other way round is another list
        await page_of(session, select(User), User.id, cursor=real, newest_first=False)


@pytest.mark.parametrize("limit", [-1, 0, 201, 10**9])
async def test_a_page_holds_1_to_200_rows(session: AsyncSession, limit: int) -> None:
    with pytest.raises(WrongLimit, match=str(limit)):
        await page_of(session, select(User), User.id, limit=limit)


async def test_a_cursor_does_not_show_the_inside_id() -> None:
    assert len({seal("users.id True", [number])[:8] for number in range(50)}) == 50


def test_a_cursor_of_one_list_at_hand_opens_no_other() -> None:
    first = page_of_list("abc", "abc", scope="people today", cursor=None, limit=2)
    assert page_of_list("abc", "abc", scope="people today", cursor=first.next, limit=2).rows == ["c"]
    with pytest.raises(ForgedCursor):
        page_of_list("abc", "abc", scope="signs", cursor=first.next, limit=2)
