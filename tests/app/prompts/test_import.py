import io
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.prompts.actions import import_prompts
from app.prompts.forms import Report
from app.prompts.tables import Import, Prompt, Root, Use
from tests import make

ALPACA = Path(__file__).parents[4] / "shared" / "data" / "alpaca_eval"


def jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def bring(session: AsyncSession, project: object, content: bytes, **options: object) -> Report:
    return await import_prompts(session, project.id, "file.jsonl", io.BytesIO(content), None, **options)


async def stored(session: AsyncSession) -> list[Prompt]:
    return list(await session.scalars(select(Prompt).order_by(Prompt.id)))


async def test_plain_and_conversational_prompts_come_in_with_everything_they_carry(session: AsyncSession) -> None:
    project = await make.project(session)
    plain = {"prompt": "How do I *fold* a crane?", "id": 7, "use": "label", "tags": ["paper"], "source": "book"}
    talk = {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi!"},
            {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
        ],
        "split": "held-out",
        "metadata": {"depth": [1, {"two": None}]},
    }
    report = await bring(session, project, jsonl(plain, talk))
    first, second = await stored(session)
    assert (report.new, report.uses) == (2, {"label": 1, "heldout": 1})
    assert (first.external_id, first.tags, first.extra) == ("7", ["paper"], {"source": "book"})
    assert first.rendered == ['<p dir="auto">How do I <em>fold</em> a crane?</p>\n']
    assert (second.use, second.extra, len(second.rendered)) == (Use.heldout, {"depth": [1, {"two": None}]}, 4)
    assert second.messages[0] == {"role": "system", "parts": [{"type": "text", "text": "Be short."}]}


async def test_the_same_file_twice_brings_nothing_new(session: AsyncSession) -> None:
    project = await make.project(session)
    content = jsonl({"prompt": "One thing", "id": "a"}, {"prompt": "Another matter"}, {"prompt": "One thing"})
    assert (await bring(session, project, content)).sentence == "2 new, 1 identical, 0 conflicting, 0 refused"
    assert (await bring(session, project, content)).sentence == "0 new, 3 identical, 0 conflicting, 0 refused"


async def test_the_same_id_with_other_content_is_told_and_the_first_is_kept(session: AsyncSession) -> None:
    project = await make.project(session)
    await bring(session, project, jsonl({"prompt": "The first", "id": "a"}))
    report = await bring(session, project, jsonl({"prompt": "The second", "id": "a"}))
    assert (report.conflicting, report.lines[0].line, report.lines[0].id) == (1, 1, "a")
    assert [prompt.messages[0]["parts"][0]["text"] for prompt in await stored(session)] == ["The first"]


async def test_a_dry_run_tells_the_same_and_keeps_nothing(session: AsyncSession) -> None:
    project = await make.project(session)
    content = jsonl({"prompt": "One thing"}, {"prompt": ""}, {"prompt": "One thing"})
    preview = await bring(session, project, content, dry_run=True)
    assert await session.scalar(select(func.count()).select_from(Prompt)) == 0
    assert await session.scalar(select(func.count()).select_from(Import)) == 0
    done = await bring(session, project, content)
    assert preview.model_copy(update={"dry_run": False, "id": done.id}) == done


async def test_good_lines_come_in_beside_bad_ones_and_each_bad_one_has_its_number(session: AsyncSession) -> None:
    project = await make.project(session)
    content = b"\xef\xbb\xbf" + b'{"prompt": "good one"}\r\n\r\n{"prompt": 5}\n{"prompt": "another good"}\n{"promp'
    report = await bring(session, project, content)
    assert report.new == 2
    assert [(line.line, line.reason) for line in report.lines] == [
        (3, "prompt: this is not text"),
        (5, "it ends in the middle of an object: is the file cut off?"),
    ]


async def test_prompts_of_a_group_stand_on_one_side_and_a_contradiction_is_told(session: AsyncSession) -> None:
    project = await make.project(session)
    rows = [{"prompt": f"Tell me about {animal}", "group": "zoo"} for animal in ("cats", "whales", "bees in winter")]
    rows[0]["use"] = "heldout"
    rows.append({"prompt": "Tell me about owls", "group": "zoo", "use": "label"})
    report = await bring(session, project, jsonl(*rows))
    assert {prompt.use for prompt in await stored(session)} == {Use.heldout}
    assert await session.scalar(select(func.count()).select_from(Root)) == 1
    assert report.lines[0].reason == "its use is “label”, but prompts of the same root are “heldout”"


async def test_a_rewording_shares_the_root_of_what_it_rewords(session: AsyncSession) -> None:
    project = await make.project(session, split={"label": 50, "train": 0, "heldout": 50})
    long = "Please write a short story about a lighthouse keeper who finds a message in a bottle on a cold morning"
    await bring(session, project, jsonl({"prompt": long}))
    await bring(session, project, jsonl({"prompt": long.upper() + "!"}, {"prompt": long + " in May"}))
    first, *others = await stored(session)
    assert len(others) == 2
    assert {prompt.root_id for prompt in others} == {first.root_id}


async def test_a_bridge_between_two_sides_is_not_let_in(session: AsyncSession) -> None:
    project = await make.project(session)
    words = [f"word{number}" for number in range(198)]
    left, right = " ".join(words[:180]), " ".join(words[18:])
    await bring(session, project, jsonl({"prompt": left, "use": "label"}))
    assert (await bring(session, project, jsonl({"prompt": right, "use": "heldout"}))).new == 1
    report = await bring(session, project, jsonl({"prompt": " ".join(words[9:189])}))
    assert report.lines[0].reason == "it is nearly the same as prompts on two sides of the split (heldout, label)"


@pytest.mark.skipif(not ALPACA.exists(), reason="real material: the folder ../shared is not here")
async def test_805_real_prompts_come_in(session: AsyncSession) -> None:
    project = await make.project(session)
    content = (ALPACA / "prompts.jsonl").read_bytes()
    report = await bring(session, project, content)
    assert (report.total, report.refused, report.conflicting) == (805, 0, 0)
    assert report.new + report.identical == 805
    assert (await bring(session, project, content)).sentence == "0 new, 805 identical, 0 conflicting, 0 refused"
