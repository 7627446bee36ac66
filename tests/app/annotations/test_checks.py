"""Written prompts that wait until somebody else has let them through."""

from typing import Any

import httpx
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Membership, User
from app.annotations.actions import settle_prompt
from app.annotations.tables import Annotation
from app.prompts.actions import retire_prompt
from app.prompts.tables import Prompt
from app.tasks.actions import ask_about_prompts
from tests.app.annotations.test_writing import CARDS, head_of, nothing_made, say, take
from tests.app.scene import Scene, broken
from tests.conftest import sign_in
from tests.queue import waiting

CHECKED = CARDS | {"peer_check": True}
TEXT = "How do I fold a paper crane with wings that move?"


class Table:
    """Two people of a project: the first writes, the other one checks."""

    def __init__(self, client: httpx.AsyncClient, session: AsyncSession, there: Scene, heads: list[Any]) -> None:
        self.client, self.session, self.there, self.heads = client, session, there, heads
        self.base = f"/api/v1/projects/{there.project.public_id}/checks"

    async def write(self, text: str = TEXT) -> Any:
        """What REST says of the answer; its prompt is in its place."""
        task = await take(self.client, self.there, self.heads[0])
        saved = await say(self.client, task, self.heads[0], kind="prompt", text=text)
        assert saved.status_code == 200, saved.text
        await self.settle()
        return saved.json()

    async def change(self, answer: Any, text: str) -> None:
        body = {"version": answer["version"], "body": {"kind": "prompt", "text": text}}
        address = f"/api/v1/annotations/{answer['id']}"
        changed = await self.client.put(address, json=body, headers=self.heads[0])
        assert changed.status_code == 200, changed.text
        await self.settle()

    async def settle(self) -> None:
        for job in await waiting(self.session, "PromptWritten"):
            await settle_prompt(self.session, job["annotation_id"])

    async def next(self, who: int, **query: str) -> Any:
        found = await self.client.get(self.base, params=query, headers=self.heads[who])
        assert found.status_code == 200, found.text
        return found.json()

    async def accept(self, prompt: str, who: int = 1) -> httpx.Response:
        return await self.client.post(f"{self.base}/{prompt}", headers=self.heads[who])

    async def give_back(self, prompt: str, words: str, who: int = 1) -> httpx.Response:
        return await self.client.post(f"{self.base}/{prompt}/return", json={"text": words}, headers=self.heads[who])

    async def prompts(self) -> list[tuple[str, bool, bool]]:
        """Text, whether it is in use, whether it waits; of what was written."""
        asked = select(Prompt).where(Prompt.author_id.is_not(None)).order_by(Prompt.id)
        found = await self.session.scalars(asked.execution_options(populate_existing=True))
        return [(p.messages[0]["parts"][0]["text"], p.retired_at is None, p.awaits_check) for p in found]


async def table(client: httpx.AsyncClient, session: AsyncSession, protocol: dict[str, Any] = CHECKED) -> Table:
    there = await nothing_made(session, protocol, people=2)
    await ask_about_prompts(session, there.project.id)
    return Table(client, session, there, [await head_of(session, there, nth) for nth in (0, 1)])


async def test_a_prompt_is_used_after_somebody_else_has_let_it_through(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    at = await table(client, session)
    await at.write()
    assert await at.prompts() == [(TEXT, False, True)]
    assert await waiting(session, "PromptsArrived") == []
    assert await at.next(0) == {"next": None, "further": 0}
    found = await at.next(1)
    assert found["further"] == 0
    assert found["next"]["card"]["topic"] in ("Folding paper", "Tax law")
    assert found["next"]["messages"][0]["parts"][0]["text"] == TEXT
    prompt = found["next"]["id"]
    assert (await at.accept(prompt, who=0)).status_code == 404  # nobody checks their own
    assert (await at.accept(prompt)).status_code == 204
    assert await at.prompts() == [(TEXT, True, False)]
    assert len(await waiting(session, "PromptsArrived")) == 1
    twice = await at.accept(prompt)
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:hone:prompt-is-checked")
    assert (await at.give_back(prompt, "Too late")).json()["type"] == "urn:hone:prompt-is-checked"
    assert await broken(session) == {}


async def test_without_the_check_a_prompt_is_used_at_once(client: httpx.AsyncClient, session: AsyncSession) -> None:
    at = await table(client, session, CARDS)
    await at.write()
    assert await at.prompts() == [(TEXT, True, False)]
    assert await at.next(1) == {"next": None, "further": 0}


async def test_what_was_returned_waits_for_its_author_and_then_for_a_check_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    at = await table(client, session)
    answer = await at.write()
    prompt = (await at.next(1))["next"]["id"]
    assert (await at.give_back(prompt, "Which crane: the bird or the machine?")).status_code == 204
    assert await at.next(1) == {"next": None, "further": 0}
    better = "How do I fold a paper bird whose wings move?"
    await at.change(answer, better)
    assert await at.prompts() == [(TEXT, False, False), (better, False, True)]
    found = await at.next(1)
    assert found["next"]["messages"][0]["parts"][0]["text"] == better
    assert (await at.accept(prompt)).json()["type"] == "urn:hone:prompt-is-checked"  # the first wording is over
    assert (await at.accept(found["next"]["id"])).status_code == 204
    assert await at.prompts() == [(TEXT, False, False), (better, True, False)]


async def test_nobody_lets_through_what_was_returned_or_is_said_no_longer(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    """Both act on a page that another tab has outlived, before a worker has placed the new words."""
    at = await table(client, session)
    answer = await at.write()
    prompt = (await at.next(1))["next"]["id"]
    assert (await at.give_back(prompt, "Which crane?")).status_code == 204
    for refused in (await at.accept(prompt), await at.give_back(prompt, "And how large?")):
        assert refused.json()["type"] == "urn:hone:prompt-is-checked"
    body = {"version": 1, "body": {"kind": "prompt", "text": "How do I fold a paper bird whose wings move?"}}
    changed = await client.put(f"/api/v1/annotations/{answer['id']}", json=body, headers=at.heads[0])
    assert changed.status_code == 200
    assert (await at.accept(prompt)).json()["type"] == "urn:hone:prompt-is-checked"
    assert [in_use for _text, in_use, _waits in await at.prompts()] == [False]


async def test_who_may_take_no_task_checks_nothing_either(client: httpx.AsyncClient, session: AsyncSession) -> None:
    at = await table(client, session)
    await at.write()
    prompt = (await at.next(1))["next"]["id"]
    mine = Membership.user_id == at.there.people[1].person.id
    await session.execute(update(Membership).where(mine).values(paused_at=func.now()))
    assert (await client.get(at.base, headers=at.heads[1])).json()["type"] == "urn:hone:work-rests"
    assert (await at.accept(prompt)).json()["type"] == "urn:hone:work-rests"
    await session.execute(update(Membership).where(mine).values(paused_at=None))
    await session.execute(update(Prompt).where(Prompt.awaits_check).values(care=2))
    assert await at.next(1) == {"next": None, "further": 0}
    assert (await at.accept(prompt)).json()["type"] == "urn:hone:prompt-is-checked"
    await session.execute(update(Membership).where(mine).values(care=2))
    assert (await at.accept(prompt)).status_code == 204


async def test_an_author_who_takes_the_first_words_again_is_checked_as_well(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    at = await table(client, session)
    answer = await at.write()
    await at.change(answer, "How do I fold a paper bird whose wings move?")
    await at.change(answer | {"version": 2}, TEXT)
    found = [one for one in await at.prompts() if one[1] or one[2]]
    assert found == [(TEXT, False, True)]


async def test_one_may_leave_a_prompt_to_others(client: httpx.AsyncClient, session: AsyncSession) -> None:
    at = await table(client, session)
    for text in (TEXT, "What does a notary do that a lawyer does not?"):
        await at.write(text)
    first = await at.next(1)
    second = await at.next(1, after=first["next"]["id"])
    assert (first["further"], second["further"]) == (1, 1)
    assert second["next"]["messages"][0]["parts"][0]["text"].startswith("What does a notary")
    assert (await at.next(1, after=second["next"]["id"]))["next"]["id"] == first["next"]["id"]


async def test_an_engineer_who_takes_it_into_use_or_out_of_it_ends_the_check(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    at = await table(client, session)
    for retired, text in ((True, "What does a notary do that a lawyer does not?"), (False, TEXT)):
        await at.write(text)
        prompt = (await session.scalars(select(Prompt).where(Prompt.awaits_check))).one()
        await retire_prompt(session, prompt, None, retired=retired)
        await session.flush()
        assert (prompt.awaits_check, prompt.retired_at is None) == (False, not retired)
        assert len(await waiting(session, "PromptsArrived")) == (0 if retired else 1)
        assert await at.next(1) == {"next": None, "further": 0}


async def test_in_the_browser_one_prompt_comes_after_the_other(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    at = await table(client, session)
    for text in (TEXT, "What does a <notary> do that a lawyer does not?"):
        await at.write(text)
    checker = await session.get_one(User, at.there.people[1].person.id)
    await sign_in(client, session, checker)
    home = {"headers": {"Sec-Fetch-Site": "same-origin"}}
    page = f"/projects/{at.there.project.public_id}/checks"
    shown = (await client.get(page)).text
    assert TEXT in shown
    assert "1 more waits." in shown
    prompt = (await at.next(1))["next"]["id"]
    assert (await client.post(f"{page}/{prompt}", **home)).status_code == 303
    shown = (await client.get(page)).text
    assert "It is used from now on." in shown
    assert "What does a &lt;notary&gt; do" in shown
    assert "more wait" not in shown
    prompt = (await at.next(1))["next"]["id"]
    author = await session.scalar(select(Membership.pseudonym).where(Membership.user_id == at.there.me.person.id))
    assert str(author) not in shown
    refused = await client.post(f"{page}/{prompt}/return", data={"text": " "}, **home)
    assert refused.status_code == 422
    assert (await client.post(f"{page}/{prompt}/return", data={"text": "Of which land?"}, **home)).status_code == 303
    assert "No prompt waits for you." in (await client.get(page)).text
    await sign_in(client, session, await session.get_one(User, at.there.me.person.id))
    assert "Of which land?" in (await client.get("/inbox")).text
    mine = await session.scalar(select(Annotation.public_id).where(Annotation.returned_at.is_not(None)))
    said = f"/projects/{at.there.project.public_id}/answers/{mine}/remarks"
    assert (await client.post(said, data={"text": "Of any: that is the question."}, **home)).status_code == 303
    await sign_in(client, session, checker)
    shown = (await client.get(page)).text  # it stands, and whoever checks it reads why
    assert "Of which land?" in shown
    assert "Of any: that is the question." in shown
    assert str(author) not in shown
