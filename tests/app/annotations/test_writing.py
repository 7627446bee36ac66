"""Kinds whose judgement is a text: what is refused, what is kept, and what comes of it in datasets and exports."""

import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import Membership, User
from app.annotations.actions import settle_prompt
from app.annotations.tables import Annotation
from app.completions.tables import Completion
from app.datasets.records import ComparisonRecord, DemonstrationRecord
from app.datasets.rules import Form, left_out_of, rewritten, sha256_of
from app.projects.protocols import protocol_of
from app.projects.queries import default_batch
from app.projects.tables import BatchState, Protocol
from app.prompts import queries
from app.prompts.actions import import_prompts
from app.prompts.jobs import PromptsArrived
from app.prompts.queries import card_of, near_prompts
from app.prompts.rules import first_user_turn
from app.prompts.tables import Prompt, Use
from app.settings import get_settings
from app.tasks.actions import NewTask, Waiting, Wish, ask_about_prompts, cancel_tasks, claim, open_tasks
from app.tasks.jobs import QueueRanLow
from app.tasks.tables import Task
from tests import make
from tests.app.datasets.test_freezing import frozen
from tests.app.scene import Scene, broken, claimed, scene
from tests.conftest import sign_in
from tests.queue import waiting
from workers.handlers.completions import ask_for_more, ask_for_the_first
from workers.handlers.registry import Context

REWRITE = {"kind": "rewrite", "completions": 2}
JUDGED_FIRST = {"kind": "combined", "completions": 2, "parts": [{"kind": "comparison"}, {"kind": "rewrite"}]}


async def of(session: AsyncSession, protocol: dict[str, Any], **values: Any) -> Scene:
    return await scene(session, protocol=protocol_of(protocol).as_json(), **values)


async def head_of(session: AsyncSession, there: Scene, nth: int = 0) -> dict[str, str]:
    person = (await session.scalars(select(User).where(User.id == there.people[nth].person.id))).one()
    return {"Authorization": f"Bearer {await make.api_token(session, person)}"}


async def take(client: httpx.AsyncClient, there: Scene, head: dict[str, str]) -> Any:
    given = await client.post(f"/api/v1/projects/{there.project.public_id}/tasks/next", headers=head)
    assert given.status_code == 200, given.text
    return given.json()


async def say(client: httpx.AsyncClient, task: Any, head: dict[str, str], **body: Any) -> httpx.Response:
    said = {"key": task["key"], "body": body}
    return await client.post(f"/api/v1/tasks/{task['task']}/annotations", json=said, headers=head)


async def kept(session: AsyncSession) -> list[dict[str, Any]]:
    return [one.body for one in await session.scalars(select(Annotation).order_by(Annotation.id))]


async def pseudonym(session: AsyncSession, there: Scene) -> str | None:
    return await session.scalar(select(Membership.pseudonym).where(Membership.user_id == there.me.person.id))


def exported(folder: Path, lines: list[Any], form: Form) -> list[Any]:
    native = folder / "lines.jsonl"
    native.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return [orjson.loads(line) for line in b"".join(rewritten(native, sha256_of(native), form)).splitlines()]


async def test_a_rewrite_is_a_demonstration_and_a_pair(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await of(session, REWRITE)
    head = await head_of(session, there)
    task = await take(client, there, head)
    original = task["answers"][1]
    text = original["text"] + "\n\nAnd press the fold."
    saved = await say(client, task, head, kind="rewrite", completion=original["handle"], text=text)
    assert saved.status_code == 200, saved.text
    (body,) = await kept(session)
    assert (body["schema"]["name"], body["text"]) == ("hone.rewrite", text)

    dataset, lines = await frozen(session, there.project, tmp_path)
    shown = DemonstrationRecord.model_validate(lines[0])
    pair = ComparisonRecord.model_validate(lines[1])
    assert shown.answer.text == pair.a.text == text
    assert pair.b.text == original["text"]
    assert shown.rewritten_from == pair.b.id
    assert (shown.writer, pair.votes[0].rater) == (await pseudonym(session, there),) * 2
    assert (pair.conclusion, pair.votes[0].strength, pair.votes[0].levels) == ("a", 1, 1)
    assert len({shown.id, pair.id}) == 2
    assert shown.group == pair.group

    assert exported(tmp_path, lines, Form.trl_demonstrations) == [
        {
            "prompt": [{"role": "user", "content": task["prompt"][0]["text"]}],
            "completion": [{"role": "assistant", "content": text}],
        }
    ]
    (preferred,) = exported(tmp_path, lines, Form.trl)
    assert (preferred["chosen"][0]["content"], preferred["rejected"][0]["content"]) == (text, original["text"])
    assert left_out_of(Form.trl, dataset.manifest) == {"demonstration": 1}
    assert left_out_of(Form.trl_demonstrations, dataset.manifest) == {"comparison": 1}
    assert await broken(session) == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{original}", "the text is as it was"),
        ("  {original}\r\n", "the text is as it was"),
        ("", "nothing is left"),
        (" \n\t", "nothing is left"),
        ("x" * 100_001, "body.text"),
        ("a\0b", "character 2"),
    ],
)
async def test_a_rewrite_that_changes_nothing_is_refused_with_a_sentence(
    client: httpx.AsyncClient, session: AsyncSession, text: str, named: str
) -> None:
    there = await of(session, REWRITE | {"completions": 1}, shows=1)
    head = await head_of(session, there)
    task = await take(client, there, head)
    (original,) = task["answers"]
    changed = text.replace("{original}", original["text"])
    refused = await say(client, task, head, kind="rewrite", completion=original["handle"], text=changed)
    assert refused.status_code == 422
    assert named in refused.text
    assert await kept(session) == []
    ok = await say(
        client, task, head, kind="rewrite", completion=original["handle"], text="Better: " + original["text"]
    )
    assert ok.status_code == 200


async def test_twenty_thousand_characters_are_kept_whole(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await of(session, REWRITE)
    head = await head_of(session, there)
    task = await take(client, there, head)
    text = "Földe ein Blatt. 折り紙。\n" * 900
    handle = task["answers"][0]["handle"]
    assert (await say(client, task, head, kind="rewrite", completion=handle, text=text)).status_code == 200
    assert (await kept(session))[0]["text"] == text


async def test_what_is_unchanged_in_a_part_is_named_with_its_part(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await of(session, JUDGED_FIRST)
    head = await head_of(session, there)
    task = await take(client, there, head)
    first, second = task["answers"]
    better = {"kind": "comparison", "outcome": "preferred", "preferred": second["handle"], "strength": 1}
    mine = {"kind": "rewrite", "completion": second["handle"], "text": second["text"]}
    refused = await say(client, task, head, kind="combined", parts=[better, mine])
    assert refused.status_code == 422
    assert "parts.rewrite.text" in refused.text
    mine["text"] = "Fold it twice."
    assert (await say(client, task, head, kind="combined", parts=[better, mine])).status_code == 200
    _dataset, lines = await frozen(session, there.project, tmp_path)
    assert [line["kind"] for line in lines] == ["comparison", "demonstration", "comparison"]
    assert len({line["id"] for line in lines}) == 3
    assert {line["group"] for line in lines} == {lines[0]["group"]}
    assert first["text"] in str(lines[0])


async def test_the_page_puts_each_text_into_an_editor_and_takes_the_browser_s_line_breaks(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await of(session, REWRITE)
    for one in await session.scalars(select(Completion)):
        one.parts = [{"type": "text", "text": 'First <b>line</b> & "more"\n\nSecond'}]
    await session.flush()
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    client.cookies.set("hone_session", await make.sign_in(session, person))
    page = await client.get(f"/projects/{there.project.public_id}/annotate")
    assert page.text.count(">\nFirst &lt;b&gt;line&lt;/b&gt; &amp; &#34;more&#34;\n\nSecond</textarea>") == 2
    task = await take(client, there, await head_of(session, there))
    one, two = (answer["handle"] for answer in task["answers"])
    fields = {"key": task["key"], "kind": "rewrite", "of": two, f"text.{one}": "unused", f"text.{two}": "New\r\nlines"}
    address = f"/projects/{there.project.public_id}/annotate/{task['task']}"
    origin = {"Origin": str(client.base_url).rstrip("/")}
    sent = await client.post(address, data=fields, headers=origin | {"HX-Request": "true"})
    assert sent.status_code == 200, sent.text
    (said,) = await session.scalars(select(Annotation))
    assert (said.body["text"], said.body["completion"]) == ("New\nlines", said.sides[1])
    again = await client.get(f"/projects/{there.project.public_id}/annotate/answers/{said.public_id}")
    assert ">\nNew\nlines</textarea>" in again.text
    history = await client.get(f"/projects/{there.project.public_id}/answers/{said.public_id}")
    assert "New\nlines" in history.text


DEMONSTRATION = {"kind": "demonstration"}
CARDS = {
    "kind": "prompt",
    "cards": [
        {"topic": "Folding paper", "intent": "learn a craft", "difficulty": "easy"},
        {"topic": "Tax law"},
    ],
    "wanted": 5,
}


async def nothing_made(session: AsyncSession, protocol: dict[str, Any], *, people: int = 1, k: int = 1) -> Scene:
    return await of(session, protocol, people=people, tasks=0, k=k)


async def test_a_demonstration_is_asked_of_prompts_alone_and_exported_as_one(
    client: httpx.AsyncClient, session: AsyncSession, tmp_path: Path
) -> None:
    there = await nothing_made(session, DEMONSTRATION, people=2, k=2)
    said = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Good day."), ("user", "How do I fold a crane?")]
    messages = [{"role": role, "parts": [{"type": "text", "text": text}]} for role, text in said]
    await make.prompt(session, there.project, messages=messages, rendered=[text for _role, text in said])
    await make.prompt(session, there.project, use=Use.heldout)
    await make.prompt(session, there.project, use=Use.train)
    await make.prompt(session, there.project, retired_at=datetime.now(UTC))
    assert await ask_about_prompts(session, there.project.id) == 1
    assert await ask_about_prompts(session, there.project.id) == 0
    for nth, text in enumerate(("**Fold** it.", "Ask somebody.")):
        head = await head_of(session, there, nth)
        task = await take(client, there, head)
        assert (task["kind"], task["answers"]) == ("demonstration", [])
        assert (await say(client, task, head, kind="demonstration", text=" \n")).status_code == 422
        saved = await say(client, task, head, kind="demonstration", text=text)
        assert saved.status_code == 200, saved.text
        again = await say(client, task, head, kind="demonstration", text=text)
        assert again.json() == saved.json()
    dataset, lines = await frozen(session, there.project, tmp_path)
    records = [DemonstrationRecord.model_validate(line) for line in lines]
    assert {record.answer.text for record in records} == {"**Fold** it.", "Ask somebody."}
    assert len({record.writer for record in records}) == len({record.id for record in records}) == 2
    assert dataset.manifest["counts"]["raters"] == dict.fromkeys((record.writer for record in records), 1)
    told = exported(tmp_path, lines, Form.trl_demonstrations)
    assert [turn["role"] for turn in told[0]["prompt"]] == ["system", "user", "assistant", "user"]
    assert {one["completion"][0]["content"] for one in told} == {"**Fold** it.", "Ask somebody."}
    assert exported(tmp_path, lines, Form.trl) == []
    assert await broken(session) == {}


async def test_a_demonstration_stands_in_histories_and_can_be_changed(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await nothing_made(session, DEMONSTRATION)
    await make.prompt(session, there.project)
    await ask_about_prompts(session, there.project.id)
    head = await head_of(session, there)
    task = await take(client, there, head)
    saved = await say(client, task, head, kind="demonstration", text="Fold <it>.")
    address = f"/api/v1/annotations/{saved.json()['id']}"
    body = {"kind": "demonstration", "text": "Fold <it> twice."}
    assert (await client.put(address, json={"version": 1, "body": body}, headers=head)).status_code == 200
    reader = await make.user(session)
    await make.member(session, there.project, reader, Role.engineer)
    token = {"Authorization": f"Bearer {await make.api_token(session, reader)}"}
    listed = await client.get(f"/api/v1/projects/{there.project.public_id}/annotations", headers=token)
    (one,) = listed.json()["annotations"]
    assert (one["body"]["text"], one["shown"], one["version"]) == ("Fold <it> twice.", [], 2)
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    client.cookies.set("hone_session", await make.sign_in(session, person))
    base = f"/projects/{there.project.public_id}"
    assert "An answer of 3 words" in (await client.get(f"{base}/answers")).text
    history = (await client.get(f"{base}/answers/{saved.json()['id']}")).text
    assert "Fold &lt;it&gt; twice." in history
    assert "Fold &lt;it&gt;." in history
    assert "Fold &lt;it&gt; twice.</textarea>" in (await client.get(f"{base}/annotate/back")).text


async def test_a_round_is_asked_no_more_than_its_target(session: AsyncSession) -> None:
    there = await nothing_made(session, DEMONSTRATION)
    for _number in range(4):
        await make.prompt(session, there.project)
    batch = await default_batch(session, there.project.id)
    batch.target = 3
    assert await ask_about_prompts(session, there.project.id) == 3
    batch.target, batch.state = None, BatchState.closed
    assert await ask_about_prompts(session, there.project.id) == 0
    batch.state = BatchState.open
    assert await ask_about_prompts(session, there.project.id) == 1


async def test_new_prompts_and_a_queue_that_runs_low_make_tasks(committed: str) -> None:
    async with database.transaction() as session:
        there = await nothing_made(session, DEMONSTRATION)
        await make.prompt(session, there.project)
    context = Context(get_settings())
    await ask_for_the_first(PromptsArrived(project_id=there.project.id), context)
    async with database.transaction() as session:
        await make.prompt(session, there.project)
    await ask_for_more(QueueRanLow(project_id=there.project.id), context)
    async with database.transaction() as session:
        assert len((await session.scalars(select(Task))).all()) == 2


async def test_the_preview_is_the_server_s_own_and_is_safe(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await nothing_made(session, DEMONSTRATION)
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    client.cookies.set("hone_session", await make.sign_in(session, person))
    address = f"/projects/{there.project.public_id}/annotate/texts/preview"
    head = {"Origin": str(client.base_url).rstrip("/"), "HX-Request": "true"}
    shown = await client.post(address, data={"text": "**bold** <script>alert(1)</script>"}, headers=head)
    assert "<strong>bold</strong>" in shown.text
    assert "<script" not in shown.text


async def test_cards_are_drawn_in_turn_and_what_is_written_becomes_a_prompt(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await nothing_made(session, CARDS)
    assert await ask_about_prompts(session, there.project.id) == 5
    assert await ask_about_prompts(session, there.project.id) == 0
    drawn = [await card_of(session, task.prompt_id) for task in await session.scalars(select(Task).order_by(Task.id))]
    assert [card["topic"] for card in drawn if card] == ["Folding paper", "Tax law"] * 2 + ["Folding paper"]
    head = await head_of(session, there)
    task = await take(client, there, head)
    assert "**Topic:**" in task["prompt"][0]["text"]
    saved = await say(client, task, head, kind="prompt", text="How do I fold a paper crane with wings that move?\n")
    assert saved.status_code == 200, saved.text
    (job,) = await waiting(session, "PromptWritten")
    for _twice in range(2):
        await settle_prompt(session, job["annotation_id"])
    (written,) = await prompts_of(session, there)
    assert first_user_turn(written.messages) == "How do I fold a paper crane with wings that move?"
    assert written.author_id == there.me.person.id
    assert written.extra["card"]["topic"] in ("Folding paper", "Tax law")
    assert written.external_id == f"written:{saved.json()['id']}:1"
    assert await broken(session) == {}


async def test_cards_stand_in_a_place_of_their_own(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await nothing_made(session, CARDS)
    manager = await make.user(session)
    await make.member(session, there.project, manager, Role.manager)
    await sign_in(client, session, manager)
    home = f"/projects/{there.project.public_id}/prompts"
    assert "Cards to write from" not in (await client.get(home)).text
    await ask_about_prompts(session, there.project.id)
    card = await session.get_one(Prompt, await session.scalar(select(Task.prompt_id).order_by(Task.id).limit(1)))
    await make.prompt(session, there.project, author_id=manager.id, extra={"card": card.extra["card"]})
    shown = {use: (await client.get(home, params={"use": use})).text for use in ("", "retired", "card")}
    assert {use: f"/prompts/{card.public_id}" in page for use, page in shown.items()} == {
        "": False, "retired": False, "card": True,
    }  # fmt: skip
    assert "Cards to write from" in shown[""]
    assert re.findall(r'data-label="Prompts written"[^>]*>\s*(\d)', shown["card"]) in (["0", "1"], ["1", "0"])
    assert "Put back into use" not in (await client.get(f"/prompts/{card.public_id}")).text
    assert (await client.post(f"/prompts/{card.public_id}", data={"retired": "false"})).status_code == 409
    listed = await client.get(f"/api/v1{home}", params={"cards": True})
    assert [row["is_card"] for row in listed.json()["rows"]] == [True, True]
    assert (await client.get(f"/api/v1{home}", params={"retired": True})).json()["rows"] == []


async def prompts_of(session: AsyncSession, there: Scene) -> list[Prompt]:
    """What was written, without the cards."""
    asked = select(Prompt).where(Prompt.project_id == there.project.id, ~Prompt.is_card)
    return list(await session.scalars(asked.order_by(Prompt.id).execution_options(populate_existing=True)))


async def written(
    client: httpx.AsyncClient, session: AsyncSession, there: Scene, text: str, nth: int = 0
) -> tuple[Any, dict[str, str]]:
    head = await head_of(session, there, nth)
    saved = await say(client, await take(client, there, head), head, kind="prompt", text=text)
    assert saved.status_code == 200, saved.text
    await settle_all(session)
    return saved.json(), head


async def settle_all(session: AsyncSession) -> None:
    for job in await waiting(session, "PromptWritten"):
        await settle_prompt(session, job["annotation_id"])


async def test_the_same_prompt_again_is_refused_and_a_changed_answer_changes_the_prompt(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await nothing_made(session, CARDS, people=2)
    await ask_about_prompts(session, there.project.id)
    saved, mine = await written(client, session, there, "Which taxes does a kite maker pay?")
    head = await head_of(session, there, 1)
    task = await take(client, there, head)
    refused = await say(client, task, head, kind="prompt", text="Which taxes does a kite maker pay?")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:hone:prompt-is-here")
    body = {"kind": "prompt", "text": "Which taxes does a maker of kites pay in Spain?", "justification": "clearer"}
    address = f"/api/v1/annotations/{saved['id']}"
    changed = await client.put(address, json={"version": 1, "body": body}, headers=mine)
    assert changed.status_code == 200, changed.text
    await settle_all(session)
    old, new = await prompts_of(session, there)
    assert (old.retired_at is None, new.retired_at is None) == (False, True)
    assert first_user_turn(new.messages) == body["text"]
    assert (await client.delete(address, headers=mine)).status_code == 200
    await settle_all(session)
    assert all(one.retired_at for one in await prompts_of(session, there))


async def test_nearly_the_same_is_shown_while_writing_but_never_what_is_held_out(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    there = await nothing_made(session, CARDS)
    open_text = "Please explain in a few short sentences how one folds a large paper boat that does not sink at once"
    held_text = "Please list the five most important rules that a judge in a chess tournament has to keep in mind today"
    lines = [{"prompt": open_text, "use": "label"}, {"prompt": held_text, "use": "heldout"}]
    raw = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    await import_prompts(session, there.project.id, "some.jsonl", BytesIO(raw), None)
    other = await make.project(session)
    await import_prompts(session, other.id, "some.jsonl", BytesIO(raw), None)
    person = (await session.scalars(select(User).where(User.id == there.me.person.id))).one()
    client.cookies.set("hone_session", await make.sign_in(session, person))
    address = f"/projects/{there.project.public_id}/annotate/texts/near"
    head = {"Origin": str(client.base_url).rstrip("/"), "HX-Request": "true"}

    async def near(text: str) -> str:
        return (await client.post(address, data={"text": text}, headers=head)).text

    assert (await near(open_text + ", please")).count(open_text) == 1
    assert "Nothing here is nearly the same" in await near("How do I fold a boat?")
    assert "Nothing here is nearly the same" in await near(held_text.replace("judge", "Judge"))


async def test_of_many_long_prompts_that_are_near_a_few_are_read(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await make.project(session)
    long = " ".join(f"word{number}" for number in range(2_000))
    rows = [{"prompt": f"{long} {number}", "use": "label"} for number in range(60)]
    raw = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    await import_prompts(session, project.id, "some.jsonl", BytesIO(raw), None)
    hashed: list[int] = []
    turns_in = queries._turns_in
    monkeypatch.setattr(queries, "_turns_in", lambda some: hashed.append(len(some)) or turns_in(some))
    assert len(await near_prompts(session, project.id, long)) == 5
    assert 0 < sum(hashed) <= 20


async def test_nobody_judges_answers_to_a_prompt_of_their_own(client: httpx.AsyncClient, session: AsyncSession) -> None:
    there = await nothing_made(session, CARDS, people=2)
    there.project.split = {"label": 100, "train": 0, "heldout": 0}
    await ask_about_prompts(session, there.project.id)
    await written(client, session, there, "What makes a kite fly?")
    (prompt,) = await prompts_of(session, there)
    session.add(Protocol(project_id=there.project.id, version=2, body=make.PROTOCOL))
    await cancel_tasks(
        session, there.project.id, list(await session.scalars(select(Task.id))), actor_id=there.me.person.id
    )
    pair = [(await make.completion(session, prompt)).id for _ in range(2)]
    batch = await default_batch(session, there.project.id)
    await open_tasks(session, there.project.id, batch.id, [NewTask(prompt.id, pair, Wish())])
    assert isinstance(await claim(session, there.people[0]), Waiting)
    shown = await claimed(session, there.people[1])
    assert [one.id for one in shown.completions] != []
