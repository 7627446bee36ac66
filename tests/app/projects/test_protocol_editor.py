"""The protocol editor: every kind with all its fields, a preview by the annotate page's templates, versions kept."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.projects.presets import PRESETS
from app.projects.protocols import protocol_of
from app.projects.protocols.editing import beginning, done
from app.projects.protocols.outline import KINDS, Entry, asked_of, outline, tree_of
from app.projects.protocols.wording import hint_of, kind_name, label_of
from app.projects.queries import newest_protocol, project_by_public_id, protocol_versions
from tests import make
from tests.conftest import sign_in

every_kind = pytest.mark.parametrize("kind", KINDS)


def sent(entries: list[Entry] | tuple[Entry, ...]) -> dict[str, str]:
    """What a browser sends for a form of these entries."""
    said: dict[str, str] = {}
    for entry in entries:
        if entry.kind:
            said[f"{entry.name}.kind"] = entry.kind
        if entry.shape.looks in ("items", "parts", "group"):
            said |= sent(entry.inside)
        elif entry.shape.looks != "switch":
            said[entry.name] = "" if entry.value is None else str(entry.value)
        elif entry.value:
            said[entry.name] = "true"
    return said


def form_of(body: Any) -> dict[str, str]:
    tree = body.as_json()
    return sent(outline(KINDS[body.kind], tree)) | {"kind": body.kind, "preset": body.preset}


@every_kind
def test_a_kind_begins_as_something_that_can_be_asked_and_survives_its_own_form(kind: str) -> None:
    body = protocol_of(beginning(kind, 2))
    assert protocol_of(tree_of(form_of(body), kind)) == body
    assert kind_name(kind) != ""


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_survives_the_form(preset: Any) -> None:
    assert protocol_of(tree_of(form_of(preset.protocol), preset.protocol.kind)) == preset.protocol


@every_kind
def test_no_field_of_a_kind_is_left_out_of_the_form(kind: str) -> None:
    fields = set(KINDS[kind].model_fields) - {"schema_", "kind", "preset"}
    assert set(asked_of(KINDS[kind])) == fields
    for field in fields:
        assert label_of(field, kind)
        assert hint_of(field, kind) != ""


def test_the_buttons_add_remove_and_move() -> None:
    tree = beginning("rating")
    tree, at = done(tree, "add:criteria")
    assert (at, len(tree["criteria"]), tree["criteria"][1]["key"]) == ("criteria.1", 2, "")
    tree["criteria"][1]["key"] = "style"
    tree, _at = done(tree, "up:criteria.1")
    assert [one["key"] for one in tree["criteria"]] == ["style", "quality"]
    tree, _at = done(tree, "remove:criteria.0")
    assert [one["key"] for one in tree["criteria"]] == ["quality"]
    for nonsense in ("remove:criteria.9", "up:nowhere.1", "burn:everything", "add:criteria.7.x", ""):
        assert done(tree, nonsense)[0] == tree


def test_parts_are_added_by_kind_and_show_as_many_answers_as_the_others() -> None:
    tree, at = done(beginning("combined", 4), "add:parts:ranking")
    assert at == "parts.2"
    assert protocol_of(tree).completions == 4
    assert [part.kind for part in protocol_of(tree).parts] == ["rating", "comparison", "ranking"]


def test_numbers_that_browsers_leave_empty_take_their_defaults_and_lists_may_have_gaps() -> None:
    said = {"scale": "", "ties": "true", "completions": "3"}
    assert protocol_of(tree_of(said, "comparison")).scale == 7
    gaps = {"criteria.7.key": "b", "criteria.7.label": "B", "criteria.2.key": "a", "criteria.2.label": "A"}
    assert [one.key for one in protocol_of(tree_of(gaps, "rating")).criteria] == ["a", "b"]


async def editor(client: httpx.AsyncClient, session: AsyncSession, body: Any = None) -> str:
    person = await make.user(session)
    project = await make.project(session, protocol=body.as_json() if body else None)
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    return f"/projects/{project.public_id}/settings/protocol"


async def newest(session: AsyncSession, address: str) -> Any:
    project = await project_by_public_id(session, UUID(address.split("/")[2]))
    assert project is not None
    return await newest_protocol(session, project.id)


@every_kind
async def test_each_kind_is_chosen_shown_and_saved(client: httpx.AsyncClient, session: AsyncSession, kind: str) -> None:
    address = await editor(client, session)
    page = await client.get(address)
    assert f'<option value="{kind}"' in page.text
    turned = await client.post(address, data={"version": "1", "was": "", "kind": kind})
    assert turned.status_code == 200, turned.text
    assert 'class="sample"' in turned.text
    assert (await newest(session, address)).version == 1  # turning to a kind keeps nothing
    body = protocol_of(beginning(kind))
    saved = await client.post(address, data=form_of(body) | {"version": "1", "was": kind})
    assert saved.status_code == 303
    assert protocol_of((await newest(session, address)).body) == body


async def test_a_preview_shows_what_is_typed_and_keeps_nothing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    address = await editor(client, session, PRESETS["helpsteer2"].protocol)
    said = form_of(PRESETS["helpsteer2"].protocol) | {"version": "1", "was": "combined", "do": "look"}
    said["parts.0.criteria.0.label"] = "Kindness of heart"
    shown = await client.post(address, data=said)
    assert shown.status_code == 200
    assert "<bdi>Kindness of heart</bdi>" in shown.text
    assert (await newest(session, address)).version == 1
    broken = await client.post(address, data=said | {"parts.1.scale": "5"})
    assert "This cannot be asked as it stands." in broken.text
    assert "allow ties" in broken.text


async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    address = await editor(client, session, PRESETS["helpsteer2"].protocol)
    said = form_of(PRESETS["helpsteer2"].protocol) | {"version": "1", "was": "combined"}
    said |= {"parts.0.criteria.1.key": "Not A Key", "parts.0.criteria.2.hint": "my own words"}
    refused = await client.post(address, data=said)
    assert refused.status_code == 422
    beside = re.search(r'value="Not A Key"[^>]*aria-invalid="true".*?class="field-error"', refused.text, re.DOTALL)
    assert beside
    assert 'value="my own words"' in refused.text
    assert (await newest(session, address)).version == 1


async def test_versions_are_kept_and_an_earlier_one_can_be_brought_back(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    first, second = PRESETS["hh"].protocol, PRESETS["prism"].protocol
    address = await editor(client, session, first)
    assert (await client.post(address, data=form_of(second) | {"version": "1", "was": "combined"})).status_code == 303
    page = await client.get(f"{address}?old=1")
    assert 'name="was" value="comparison"' in page.text
    assert 'name="version" value="2"' in page.text
    back = await client.post(address, data=form_of(first) | {"version": "2", "was": "comparison"})
    assert back.status_code == 303
    there = await newest(session, address)
    assert (there.version, protocol_of(there.body)) == (3, first)
    versions = await protocol_versions(session, there.project_id)
    assert [(one.version, one.body["kind"]) for one in versions] == [
        (3, "comparison"),
        (2, "combined"),
        (1, "comparison"),
    ]


async def test_two_editors_notice_each_other(client: httpx.AsyncClient, session: AsyncSession) -> None:
    address = await editor(client, session)
    theirs, mine = protocol_of({"scale": 5}), protocol_of({"scale": 9})
    assert (await client.post(address, data=form_of(theirs) | {"version": "1"})).status_code == 303
    late = await client.post(address, data=form_of(mine) | {"version": "1"})
    assert late.status_code == 409
    assert "it is now “5”, you wrote “9”" in unescape(late.text)
    assert 'name="scale" type="number" step="1" inputmode="decimal" value="9"' in late.text
