"""The annotate page over HTTP: what it sends, and what it answers to everything a browser may do."""

import re
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import User
from app.annotations.routes import screens
from app.annotations.tables import Annotation, AnnotationVersion
from tests import make
from tests.app.scene import Scene, broken, let_leases_run_out, scene, sweep_all
from tests.conftest import sign_in

PART = {"HX-Request": "true"}


class Page:
    """A browser's view of one task: the values of its buttons, in the order of the screen."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.choices = re.findall(r'name="choice" value="([^"]+)"', html)
        found = re.search(r'action="([^"]+)" data-choices', html)
        self.address = found[1] if found else ""
        found = re.search(r'name="key" value="([^"]+)"', html)
        self.key = found[1] if found else ""
        found = re.search(r'name="version" value="([^"]+)"', html)
        self.version = found[1] if found else ""
        found = re.search(r'data-mode="(\w+)"', html)
        self.mode = found[1] if found else ""


async def person_at(client: httpx.AsyncClient, session: AsyncSession, there: Scene, nth: int = 0) -> User:
    person = (await session.scalars(select(User).where(User.id == there.people[nth].person.id))).one()
    await sign_in(client, session, person)
    return person


@pytest.fixture
async def there(session: AsyncSession, client: httpx.AsyncClient) -> Scene:
    made = await scene(session, people=2, tasks=3, k=2)
    await person_at(client, session, made)
    return made


async def open_page(client: httpx.AsyncClient, there: Scene) -> Page:
    response = await client.get(f"/projects/{there.project.public_id}/annotate")
    assert response.status_code == 200, response.text
    return Page(response.text)


async def press(client: httpx.AsyncClient, page: Page, choice: str, **said: str) -> httpx.Response:
    form = {"choice": choice, "seen": "1"} | ({"key": page.key} if page.key else {"version": page.version}) | said
    return await client.post(page.address, data=form, headers=PART)


async def test_an_answer_is_kept_and_the_next_task_comes_in_the_same_response(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    assert len(page.choices) == 8  # seven points, the middle one a tie, and both bad
    response = await press(client, page, page.choices[0], justification="B is off the subject")
    after = Page(response.text)
    assert response.status_code == 200
    assert response.text.lstrip().startswith("<section")
    assert after.mode == "task"
    assert after.address != page.address
    said = (await session.scalars(select(Annotation))).one()
    assert said.body["outcome"] == "preferred"
    assert said.body["strength"] == 3
    assert said.body["preferred"] == said.sides[0]  # the first button is A's end
    assert said.body["justification"] == "B is off the subject"
    assert (said.protocol_id, said.guidelines_id) != (None, None)
    assert said.submitted_at.strftime("%H:%M:%S") in response.text


async def test_a_double_click_saves_one_comparison(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    first = await press(client, page, page.choices[1])
    second = await press(client, page, page.choices[1])
    assert (first.status_code, second.status_code) == (200, 200)
    assert Page(first.text).address == Page(second.text).address
    assert len((await session.scalars(select(Annotation))).all()) == 1


async def test_another_answer_under_the_same_key_is_409_and_the_first_is_kept_with_an_offer_to_change_it(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    await press(client, page, page.choices[0])
    response = await press(client, page, page.choices[6], justification="on second thoughts")
    assert response.status_code == 409
    assert response.headers["HX-Retarget"] == "#refusal"
    assert "on second thoughts" in response.text
    address = re.search(r'action="([^"]+)" data-offer', response.text)
    assert address
    changed = await client.post(
        address[1],
        data={"version": "1", "choice": page.choices[6], "justification": "on second thoughts"},
        headers=PART,
    )
    assert changed.status_code == 200
    said = (await session.scalars(select(Annotation))).one()
    assert (said.version, said.body["strength"], said.body["justification"]) == (2, 3, "on second thoughts")
    assert said.body["preferred"] == said.sides[1]


async def test_when_the_next_claim_fails_the_answer_is_kept_and_the_page_says_so(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await open_page(client, there)

    async def broken_claim(*_given: object, **_more: object) -> None:
        raise RuntimeError("no next task today")

    monkeypatch.setattr(screens, "claim", broken_claim)
    response = await press(client, page, page.choices[0])
    assert response.status_code == 200
    assert Page(response.text).mode == "failed"
    assert "Next task" in response.text
    assert len((await session.scalars(select(Annotation))).all()) == 1


async def test_that_there_is_nothing_to_go_back_to_is_said_once_and_to_nobody_else(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    """The task that comes with it is drawn once for its protocol: what only this screen says must not stay in it."""
    base, words = f"/projects/{there.project.public_id}/annotate", "There is no earlier answer"
    for _twice in range(2):
        page = await client.get(f"{base}/back", params={"seen": "1"}, headers=PART)
        assert words in page.text
        assert "hx-swap-oob" not in page.text
        assert words not in (await client.get(f"{base}/next", params={"seen": "1"}, headers=PART)).text


async def test_going_back_brings_the_last_answer_whole_and_keeps_both_versions(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    after = Page((await press(client, page, page.choices[2], justification="clearer")).text)
    back = await client.get(f"/projects/{there.project.public_id}/annotate/back", headers=PART)
    edit = Page(back.text)
    assert edit.mode == "edit"
    assert "clearer" in back.text
    assert f'chosen" name="choice" value="{edit.choices[2]}"' in back.text
    then = Page((await press(client, edit, edit.choices[4], justification="clearer, really")).text)
    assert then.address == after.address  # the task that was left for the edit
    said = (await session.scalars(select(Annotation))).one()
    old = (await session.scalars(select(AnnotationVersion))).one()
    assert (said.version, said.body["strength"], said.body["justification"]) == (2, 1, "clearer, really")
    assert (old.version, old.body["strength"], old.body["justification"]) == (1, 1, "clearer")
    history = await client.get(f"/projects/{there.project.public_id}/answers/{said.public_id}")
    assert "clearer, really" in history.text
    assert "clearer</bdi>" in history.text


async def test_an_edit_from_an_old_version_is_409_and_shows_what_is_there(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    await press(client, page, page.choices[0])
    edit = Page((await client.get(f"/projects/{there.project.public_id}/annotate/back", headers=PART)).text)
    await press(client, edit, edit.choices[1])
    refused = await press(client, edit, edit.choices[5], justification="mine")
    assert refused.status_code == 409
    assert "A better" in refused.text
    assert "mine" in refused.text
    assert (await session.scalars(select(Annotation.version))).one() == 2


async def test_a_choice_that_the_task_does_not_offer_is_422_and_the_form_stays(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    for choice in ("neither_valid", "no-such-handle.2", page.choices[0].replace(".3", ".9"), "best"):
        response = await press(client, page, choice)
        assert response.status_code == 422, choice
        assert response.headers["HX-Retarget"] == "#refusal"
    assert not (await session.scalars(select(Annotation))).all()
    assert (await press(client, page, page.choices[0])).status_code == 200


async def test_nul_is_refused_with_its_position_and_other_strange_letters_are_kept_exactly(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    refused = await press(client, page, page.choices[0], justification="ab\0c")
    assert refused.status_code == 422
    assert "character 3" in refused.text
    odd = "\u202eolleh \u200b a" + "\u0301" * 5000
    assert (await press(client, page, page.choices[0], justification=odd)).status_code == 200
    assert (await session.scalars(select(Annotation))).one().body["justification"] == odd


async def test_an_answer_after_the_lease_went_to_others_is_saved_as_extra(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session, people=2, tasks=1, k=1)
    await person_at(client, session, there, 0)
    mine = await open_page(client, there)
    await let_leases_run_out(session)
    assert await sweep_all(session) == 1
    await person_at(client, session, there, 1)
    theirs = await open_page(client, there)
    await press(client, theirs, theirs.choices[0])
    await person_at(client, session, there, 0)
    response = await press(client, mine, mine.choices[0], justification="late, but whole")
    assert response.status_code == 200
    assert "Saved (extra)" in response.text
    states = {said.state: said.body["justification"] for said in await session.scalars(select(Annotation))}
    assert states == {"live": "", "surplus": "late, but whole"}
    assert await broken(session) == {}


async def test_a_draft_is_kept_and_a_late_packet_never_overwrites_newer_words(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)

    async def save(rev: int, words: str) -> httpx.Response:
        draft = {"key": page.key, "rev": rev, "body": {"justification": words}}
        return await client.post(f"{page.address}/draft", json=draft)

    assert re.fullmatch(r"\d\d:\d\d:\d\d", (await save(2, "newer")).json()["saved"])
    late = await save(1, "older")
    assert (late.status_code, late.json()["rev"]) == (200, 2)
    assert "newer" in (await open_page(client, there)).html
    await press(client, page, page.choices[0], justification="newer")
    assert await session.scalar(text("SELECT count(*) FROM drafts")) == 0


async def test_words_that_were_typed_elsewhere_are_told_and_never_overwritten(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)

    async def save(rev: int, over: list[int], words: str) -> dict[str, object]:
        draft = {"key": page.key, "rev": rev, "over": over, "body": {"justification": words}}
        response = await client.post(f"{page.address}/draft", json=draft)
        return {name: found for name, found in response.json().items() if name != "saved"}

    assert await save(900, [0], "by a clock that is ahead") == {"rev": 900}
    theirs = {"rev": 900, "body": {"justification": "by a clock that is ahead"}}
    assert await save(950, [0], "newer by its number, and of another device") == theirs
    assert await save(30, [0, 10, 20], "older by its number") == theirs
    assert await save(901, [900], "grown out of it") == {"rev": 901}
    assert await save(901, [900], "grown out of it") == {"rev": 901}  # sent again
    assert await save(40, [0, 900, 901], "by a clock that is behind") == {"rev": 40}
    assert await session.scalar(text("SELECT body->>'justification' FROM drafts")) == "by a clock that is behind"


async def test_what_is_typed_to_change_an_answer_is_kept_with_the_version_it_grew_out_of(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    first = await open_page(client, there)
    await press(client, first, first.choices[0], justification="a")
    back = f"/projects/{there.project.public_id}/annotate/back"

    async def opened() -> Page:
        return Page((await client.get(back, headers=PART)).text)

    async def typed(rev: int, words: str, version: str, over: list[int]) -> dict[str, object]:
        draft = {"version": int(version), "rev": rev, "over": over, "body": {"justification": words}}
        kept: dict[str, object] = (await client.post(f"{page.address}/draft", json=draft)).json()
        return kept

    page = await opened()
    assert (await typed(5, "ab", page.version, [0]))["rev"] == 5
    assert (await typed(9, "on another device", page.version, [0]))["body"] == {"justification": "ab"}
    assert ">\nab</textarea>" in (await opened()).html
    await press(client, page, page.choices[0], justification="abc")  # by a page that knew of no draft
    page = await opened()
    assert ">\nabc</textarea>" in page.html
    assert """data-other='{"body": {"justification": "ab"}, "rev": 5}'""" in page.html
    assert (await typed(7, "abcd", page.version, [0, 5]))["rev"] == 7
    await press(client, page, page.choices[0], justification="abcd", over="0,5,7")
    page = await opened()
    assert "data-other" not in page.html
    assert await session.scalar(text("SELECT count(*) FROM edit_drafts")) == 0
    await person_at(client, session, there, 1)
    refused = await client.post(f"{page.address}/draft", json={"version": 1, "rev": 5, "over": [0], "body": {}})
    assert refused.status_code == 404


async def test_a_draft_that_cannot_be_stored_is_refused_in_words_and_not_with_an_error_of_ours(
    client: httpx.AsyncClient, there: Scene
) -> None:
    page = await open_page(client, there)
    draft = {"key": page.key, "rev": 1, "body": {"notes": [{"text": "a\0b"}]}}
    refused = await client.post(f"{page.address}/draft", json=draft)
    assert refused.status_code == 422
    assert "U+0000" in refused.text


async def test_a_skipped_task_is_not_shown_again_and_its_slot_is_free(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    seen = set()
    page = await open_page(client, there)
    while page.mode == "task":
        assert page.address not in seen
        seen.add(page.address)
        page = Page((await client.post(f"{page.address}/skip", data={"key": page.key}, headers=PART)).text)
    assert len(seen) == 3
    assert await session.scalar(text("SELECT count(*) FROM slots WHERE state = 0")) == 6
    assert await broken(session) == {}


@pytest.mark.parametrize(
    "state", ["quota", "paused", "archived", "me", "rounds", "arriving", "others", "done", "empty"]
)
async def test_a_page_with_no_task_says_why(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, state: str
) -> None:
    statement, words = {
        "quota": ("UPDATE projects SET daily_limit = 1, zone = 'Europe/Berlin'", "It resets at 00:00 Europe/Berlin."),
        "paused": ("UPDATE projects SET state = 'paused'", "Work rests"),
        "arriving": ("UPDATE slots SET state = 3", "being written"),
        "archived": ("UPDATE projects SET state = 'archived'", "project is over"),
        "me": ("UPDATE memberships SET paused_at = now()", "Your work here rests"),
        "rounds": ("UPDATE batches SET state = 'closed'", "No round is open"),
        "others": (
            "INSERT INTO skips (task_id, annotator_id, project_id) SELECT t.id, m.user_id, t.project_id "
            "FROM tasks t JOIN memberships m ON m.project_id = t.project_id",
            "left is with others",
        ),
        "done": ("UPDATE slots SET state = 3", "Everything is answered"),
        "empty": ("DELETE FROM tasks", "no task yet"),
    }[state]
    if state == "arriving":
        checkpoint = await make.checkpoint(session)
        await session.execute(
            text("INSERT INTO generations (project_id, checkpoint_id, n, sampling, seed, wanted) "
                 "VALUES (:project, :checkpoint, 2, '{}', 1, 8)"),
            {"project": there.project.id, "checkpoint": checkpoint.id},
        )  # fmt: skip
    await session.execute(text(statement))
    page = await open_page(client, there)
    if state == "quota":
        page = Page((await press(client, page, page.choices[0])).text)
    assert page.mode == "waiting"
    assert words in page.html
    looks_again = ("rounds", "arriving", "others", "done", "empty")
    assert ("hx-trigger" in page.html) == (state in looks_again)


async def test_a_paused_person_may_finish_what_they_hold(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    await session.execute(text("UPDATE memberships SET paused_at = now()"))
    response = await press(client, page, page.choices[0])
    assert Page(response.text).mode == "waiting"
    assert len((await session.scalars(select(Annotation))).all()) == 1


async def test_others_tasks_other_projects_and_made_up_ids_are_404(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    await person_at(client, session, there, 1)
    assert (await press(client, page, page.choices[0])).status_code == 404  # shown to somebody else
    elsewhere = await scene(session)
    for address in (
        f"/projects/{there.project.public_id}/annotate/{uuid4()}",
        f"/projects/{elsewhere.project.public_id}/annotate/{page.address.rsplit('/', 1)[1]}",
    ):
        form = {"key": page.key, "choice": page.choices[0]}
        assert (await client.post(address, data=form, headers=PART)).status_code == 404
    assert not (await session.scalars(select(Annotation))).all()


async def test_the_page_never_holds_a_checkpoint_a_purpose_or_an_inside_id(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await scene(session)
    checkpoint = await make.checkpoint(session, name="secret-policy-7b")
    await session.execute(
        text("UPDATE completions SET checkpoint_id = :it, author = 'gpt-secret'"), {"it": checkpoint.id}
    )
    await session.execute(text("UPDATE tasks SET purpose = 'gold'"))
    completions = [str(one) for one in await session.scalars(text("SELECT public_id FROM completions"))]
    await person_at(client, session, there)
    page = await open_page(client, there)
    assert page.mode == "task"
    for word in ("secret-policy", "gpt-secret", "gold", str(checkpoint.public_id), *completions):
        assert word not in page.html


async def test_the_order_on_the_screen_is_drawn_once_and_named_by_handles_of_this_slot(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    first, again = await open_page(client, there), await open_page(client, there)
    assert first.choices == again.choices
    mine = {choice.split(".")[0] for choice in first.choices if "." in choice}
    await person_at(client, session, there, 1)
    theirs = await open_page(client, there)
    assert theirs.address == first.address
    assert mine.isdisjoint(choice.split(".")[0] for choice in theirs.choices)


async def test_a_browser_without_scripts_gets_whole_pages(client: httpx.AsyncClient, there: Scene) -> None:
    page = await open_page(client, there)
    response = await client.post(page.address, data={"key": page.key, "choice": page.choices[0]})
    assert response.text.startswith("<!doctype html>")
    after = Page(response.text)
    refused = await client.post(after.address, data={"key": after.key, "choice": "best", "justification": "my words"})
    assert "my words" in refused.text
    assert "<!doctype html>" in refused.text


async def test_new_guidelines_come_with_the_next_task_and_the_answer_keeps_its_version(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene
) -> None:
    page = await open_page(client, there)
    assert "Be fair." in page.html
    await session.execute(
        text("INSERT INTO guidelines (project_id, version, markdown, html) VALUES (:it, 2, 'x', '<p>Be fairer.</p>')"),
        {"it": there.project.id},
    )
    response = await press(client, page, page.choices[0])
    assert 'hx-swap-oob="true" data-version="2"' in response.text
    assert "Be fairer." in response.text
    again = Page(response.text)
    assert "guidelines-text" not in (await press(client, again, again.choices[0], seen="2")).text
    versions = await session.scalars(
        text("SELECT g.version FROM annotations a JOIN guidelines g ON g.id = a.guidelines_id ORDER BY a.id")
    )
    assert list(versions) == [1, 2]


async def test_an_address_that_names_no_task_is_refused_like_any_other(client: httpx.AsyncClient, there: Scene) -> None:
    page = await open_page(client, there)
    said = {"key": page.key, "choice": page.choices[0], "seen": "1"}
    base = page.address.rpartition("/")[0]
    elsewhere = [(await client.post(f"{base}/none{way}", data=said)).status_code for way in ("", "/skip")]
    assert elsewhere[0] == elsewhere[1] == 404
    client.cookies.clear()
    assert (await client.post(page.address, data=said, follow_redirects=False)).status_code in (303, 401)
