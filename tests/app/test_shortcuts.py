"""Keys that a person puts in the place of the page's own: kept per person, named on the page, conflicts told."""

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.shortcuts import ACTIONS, CHOICES, SPARE, checked, choice_key, own_keys, pressed, pressing
from tests.app.scene import scene
from tests.conftest import sign_in


def test_only_what_differs_is_kept() -> None:
    assert checked({}) == {}
    assert checked({"S": "j", "Z": "z", "X": ""}) == {"S": "J"}
    assert checked({"S": "Z", "Z": "S"}) == {"S": "Z", "Z": "S"}  # two that change places


def test_a_key_that_would_do_two_things_is_named_with_both() -> None:
    with pytest.raises(ValueError, match=r"“Z” would do two things: “skip.*” and “back"):
        checked({"S": "Z"})
    with pytest.raises(ValueError, match="is not one key"):
        checked({"S": "Enter"})


def test_what_was_kept_for_keys_that_are_gone_is_left_alone() -> None:
    assert own_keys({"keys": {"S": "J", "gone": "P", "Z": "Z"}}) == {"S": "J"}
    with pressing({"keys": {"S": "J"}}):
        assert (pressed("S"), pressed("Z")) == ("J", "Z")
    assert pressed("S") == "S"


def test_every_choice_of_a_question_has_a_key_that_means_nothing_else_there() -> None:
    found = [choice_key(number) for number in range(1, 31)]  # as many options as a question can have
    assert len(set(found)) == 30
    assert "".join(found[:13]) == "1234567890AJX"
    everywhere = set("SIWVOHZRQTUDMLKG?")  # what the page does whatever is asked
    assert not everywhere & set(CHOICES + SPARE)
    assert everywhere <= ACTIONS.keys()


def test_a_key_of_ones_own_is_no_choice_as_well() -> None:
    with pressing({"keys": {"S": "A", "X": "J"}}):
        found = [choice_key(number) for number in range(1, 31)]
        assert found[9:12] == ["0", "X", "N"]
        assert pressed("X") == "J"
        assert len({pressed(key) for key in found}) == 30


async def test_the_page_of_keys_keeps_them_and_the_annotate_page_names_them(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    person = await session.get_one(User, there.me.person.id)
    person.preferences = {"other": 1}
    await sign_in(client, session, person)
    asked = await client.get("/account/keys")
    assert asked.text.count("data-usually=") == len(ACTIONS)
    refused = await client.post("/account/keys", data={"key.S": "Z"}, headers={"HX-Request": "true"})
    assert refused.status_code == 422
    assert "would do two things" in refused.text
    kept = await client.post("/account/keys", data={"key.S": "j", "confirms": "true"})
    assert kept.status_code == 303
    assert await preferences(session, person) == {"other": 1, "keys": {"S": "J"}, "confirms": True}
    page = (await client.get(f"/projects/{there.project.public_id}/annotate")).text
    assert "<kbd>J</kbd>" in page
    assert "data-submit" in page  # a choice is sent with Enter
    await client.post("/account/keys", data={"reset": "yes", "confirms": "true"})
    assert (await preferences(session, person))["keys"] == {}


async def preferences(session: AsyncSession, person: User) -> dict[str, object]:
    return (await session.scalars(select(User.preferences).where(User.id == person.id))).one()
