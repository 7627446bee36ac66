"""Media come in as files and as addresses, are kept under the hash of a clean copy, and stand in what is asked."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.completions.actions import import_completions
from app.completions.actions import take_in_settled as take_in_completions
from app.completions.tables import Completion
from app.datasets.records import Answer, Message
from app.datasets.rules import REWRITES, Form, left_out_of
from app.datasets.tally import Tally
from app.media.actions import refuse_medium, take_upload
from app.media.files import came_at, kept_at
from app.media.tables import Medium, MediumKind, MediumState
from app.projects.tables import Project
from app.prompts.actions import import_prompts, take_in_settled
from app.prompts.forms import Report
from app.prompts.tables import Import, Prompt, Root, WaitingLine
from tests import make
from tests.conftest import sign_in
from tests.queue import waiting

A, B = "https://pictures.test/a.png", "https://pictures.test/b.png"


def jsonl(*rows: object) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def image(**named: str) -> dict[str, str]:
    return {"type": "image", **named}


def asks(*parts: dict[str, str], text: str = "What is this?") -> dict[str, Any]:
    return {"prompt": [{"type": "text", "text": text}, *parts]}


async def bring(session: AsyncSession, project: Project, *rows: object, **options: Any) -> Report:
    return await import_prompts(session, project.id, "file.jsonl", jsonl(*rows), None, **options)


async def prompts(session: AsyncSession) -> list[Prompt]:
    return list(await session.scalars(select(Prompt).order_by(Prompt.id)))


async def arrives(session: AsyncSession, project: Project, address: str, refused: str | None = None) -> Medium:
    """What a worker does once it has looked at an address."""
    medium = (await session.scalars(select(Medium).where(Medium.source_url == address))).one()
    if refused:
        medium.state, medium.reason = MediumState.refused, refused
    else:
        medium.state, medium.kind, medium.media_type = MediumState.ready, MediumKind.image, "image/png"
        medium.sha256, medium.width, medium.height = address.encode().hex()[-2:] * 32, 40, 30
    await session.flush()
    await take_in_settled(session, project.id, medium.id)
    await take_in_completions(session, project.id, medium.id)
    return medium


async def test_a_prompt_with_an_uploaded_picture_is_stored_by_the_hash_of_what_is_kept(session: AsyncSession) -> None:
    project = await make.project(session)
    medium = await make.medium(session, project, width=40, height=30, source_sha256="ab" * 32)
    report = await bring(session, project, asks(image(sha256="AB" * 32, alt='A "fern"')))
    assert (report.new, report.waiting) == (1, 0)
    [prompt] = await prompts(session)
    assert prompt.messages[0]["parts"][1] == {"type": "image", "sha256": medium.sha256, "alt": 'A "fern"'}
    address = f"/projects/{project.public_id}/media/{medium.sha256}"
    assert f'<img src="{address}" alt="A &quot;fern&quot;" width="40" height="30" loading="lazy"' in prompt.rendered[0]
    assert "What is this?" in prompt.rendered[0]


async def test_a_line_waits_for_its_addresses_and_comes_in_when_the_last_is_here(session: AsyncSession) -> None:
    project = await make.project(session)
    report = await bring(session, project, asks(image(url=A), image(url=B)), {"prompt": "Plain words"})
    assert (report.new, report.waiting, report.lines[0].line) == (1, 1, 1)
    assert len(await waiting(session, "ExamineMedium")) == 2
    await arrives(session, project, A)
    assert len(await prompts(session)) == 1
    await arrives(session, project, B)
    _plain, pictured = await prompts(session)
    assert [part["type"] for part in pictured.messages[0]["parts"]] == ["text", "image", "image"]
    kept = Report.model_validate((await session.scalars(select(Import))).one().report)
    assert (kept.new, kept.waiting, kept.lines) == (2, 0, [])
    assert (await session.scalars(select(WaitingLine))).all() == []


async def test_a_line_whose_medium_is_not_to_be_had_is_refused_with_the_reason(session: AsyncSession) -> None:
    project = await make.project(session)
    await bring(session, project, asks(image(url=A), image(url=B)), asks(image(url=B), text="And this?"))
    await arrives(session, project, B)
    await arrives(session, project, A, refused="its server answered with status 404")
    assert len(await prompts(session)) == 1
    kept = Report.model_validate((await session.scalars(select(Import))).one().report)
    assert (kept.new, kept.refused, kept.waiting) == (1, 1, 0)
    assert [(said.line, said.reason) for said in kept.lines] == [(1, f"{A}: its server answered with status 404")]


async def test_an_address_is_fetched_once_and_a_file_imported_twice_is_identical(session: AsyncSession) -> None:
    project = await make.project(session)
    await bring(session, project, asks(image(url=A)))
    await arrives(session, project, A)
    report = await bring(session, project, asks(image(url=A)))
    assert (report.new, report.identical, report.waiting) == (0, 1, 0)
    assert len(await waiting(session, "ExamineMedium")) == 1


async def test_a_dry_run_fetches_nothing(session: AsyncSession) -> None:
    project = await make.project(session)
    report = await bring(session, project, asks(image(url=A)), dry_run=True)
    assert report.waiting == 1
    assert await waiting(session, "ExamineMedium") == []
    assert (await session.scalars(select(Medium))).all() == []


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (image(url="http://a.test/x", sha256="a" * 64), "either “url” or “sha256”"),
        (image(), "either “url” or “sha256”"),
        (image(url="file:///etc/passwd"), "only http and https"),
        (image(url="javascript:alert(1)"), "only http and https"),
        (image(url="data:image/png;base64,AAAA"), "only http and https"),
        (image(url="http://user:secret@a.test/x"), "without a password"),
        (image(url="http://a.test:99999/x"), "only http and https"),
        (image(sha256="../../etc/passwd"), "not a SHA-256"),
        (image(sha256="a" * 64), "no file with the SHA-256"),
        (image(sha256="b" * 64, title="x"), "a medium has"),
        ({"type": "film", "url": "http://a.test/x"}, "only parts of type"),
    ],
)
async def test_a_medium_that_is_named_wrongly_is_refused_by_line(
    session: AsyncSession, part: dict[str, str], reason: str
) -> None:
    report = await bring(session, await make.project(session), asks(part))
    assert report.refused == 1
    assert reason in (report.lines[0].reason or "")


async def test_a_sound_is_no_picture(session: AsyncSession) -> None:
    project = await make.project(session)
    medium = await make.medium(session, project, kind=MediumKind.audio, media_type="audio/wav")
    report = await bring(session, project, asks(image(sha256=medium.sha256)))
    assert "is of type audio, not image" in (report.lines[0].reason or "")


async def test_what_chats_call_image_url_is_an_image(session: AsyncSession) -> None:
    project = await make.project(session)
    await bring(session, project, asks({"type": "image_url", "image_url": {"url": A}}))  # type: ignore[arg-type]
    await arrives(session, project, A)
    assert (await prompts(session))[0].messages[0]["parts"][1]["type"] == "image"


async def test_one_question_about_two_pictures_is_two_roots_and_two_about_one_is_one(session: AsyncSession) -> None:
    project = await make.project(session)
    fern, moss = [await make.medium(session, project) for _ in "ab"]
    words = "Describe in detail what can be seen in this picture, from the foreground to the background, please, " * 3
    rows = [asks(image(sha256=one.sha256), text=words) for one in (fern, moss)]
    await bring(session, project, *rows, asks(image(sha256=fern.sha256), text="How old is it?"))
    roots = [prompt.root_id for prompt in await prompts(session)]
    assert roots[0] != roots[1]
    assert roots[0] == roots[2]
    assert len((await session.scalars(select(Root))).all()) == 2


async def test_an_answer_that_is_a_picture_alone_is_judged(session: AsyncSession) -> None:
    project = await make.project(session)
    medium = await make.medium(session, project)
    prompt = await make.prompt(session, project, external_id="p")
    row = {"prompt_id": "p", "parts": [image(sha256=medium.sha256)], "model": "painter"}
    report = await import_completions(session, project.id, "file", jsonl(row, row), None)
    assert (report.new, report.identical) == (1, 1)
    [answer] = (await session.scalars(select(Completion).where(Completion.prompt_id == prompt.id))).all()
    assert answer.flaw is None
    assert answer.html.startswith('<figure class="medium image">')


async def test_an_answer_waits_for_its_address(session: AsyncSession) -> None:
    project = await make.project(session)
    await make.prompt(session, project, external_id="p")
    row = {"prompt_id": "p", "parts": [image(url=A)], "model": "painter"}
    report = await import_completions(session, project.id, "file", jsonl(row), None)
    assert report.waiting == 1
    await arrives(session, project, A)
    assert len((await session.scalars(select(Completion))).all()) == 1
    assert await waiting(session, "CompletionsArrived") != []


async def test_a_text_shows_pictures_of_the_project_and_no_others(session: AsyncSession) -> None:
    project, other = await make.project(session), await make.project(session)
    mine, theirs = await make.medium(session, project), await make.medium(session, other)
    text = f"![fern](media:{mine.sha256}) ![x](media:{theirs.sha256}) ![y](http://probe.test/y.png)"
    await bring(session, project, {"prompt": text})
    [prompt] = await prompts(session)
    assert prompt.rendered[0].count("<img") == 1
    assert f'/projects/{project.public_id}/media/{mine.sha256}"' in prompt.rendered[0]


async def test_records_hold_media_by_hash_and_trainers_read_the_words() -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image", "sha256": "a" * 64, "alt": "fern"}]
    message = Message.model_validate({"role": "user", "parts": parts})
    assert message.text == "What?"
    assert message.model_dump(mode="json")["parts"] == parts
    assert Answer(id="a", parts=(message.parts[1],)).text == ""


@pytest.mark.parametrize("where", ["prompt", "answer", "nowhere"])
@pytest.mark.parametrize("form", [Form.trl, Form.trl_standard, Form.hh, Form.trl_demonstrations])
def test_exports_of_texts_leave_out_what_cannot_be_said_without_its_pictures(form: Form, where: str) -> None:
    words, shown = {"type": "text", "text": "A fern."}, {"type": "image", "sha256": "a" * 64}
    vote = {"outcome": "a", "strength": 1, "levels": 3, "weight": 1.0, "rater": "p"}
    tally = Tally()
    line = {
        "kind": "comparison" if form is not Form.trl_demonstrations else "demonstration",
        "id": "x",
        "group": "x",
        "split": "train",
        "conclusion": "a",
        "votes": [vote],
        "prompt": [{"role": "user", "parts": [words, *([shown] if where == "prompt" else [])]}],
        "a": {"parts": [shown if where == "answer" else words]},
        "b": {"parts": [words]},
    }
    if form is Form.trl_demonstrations:
        line["answer"] = line.pop("a")
    tally.add(line, 1.0)
    assert len(REWRITES[form](line)) == (1 if where == "nowhere" else 0)
    assert left_out_of(form, {"counts": tally.as_json()}) == ({} if where == "nowhere" else {"media": 1})
    assert REWRITES[Form.native](line) == [line]


# ---- files over REST ------------------------------------------------------------------------------------------------


async def test_a_file_is_uploaded_once(client: httpx.AsyncClient, session: AsyncSession) -> None:
    project, person = await make.project(session), await make.user(session)
    await make.member(session, project, person, Role.engineer)
    await sign_in(client, session, person)
    address = f"/api/v1/projects/{project.public_id}/media"
    first = await client.post(f"{address}?name=fern.png", content=b"bytes")
    again = await client.post(address, files={"file": ("other.png", b"bytes")})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["state"], first.json()["name"]) == ("waiting", "fern.png")
    medium = (await session.scalars(select(Medium))).one()
    assert came_at(medium.public_id).read_bytes() == b"bytes"
    assert len(list(came_at(medium.public_id).parent.glob(".*"))) == 0
    assert len(await waiting(session, "ExamineMedium")) == 1
    assert (await client.post(address, content=b"")).status_code == 422


async def test_an_upload_that_was_refused_may_be_sent_again(session: AsyncSession) -> None:
    project = await make.project(session)
    medium = await take_upload(session, project.id, "fern.png", io.BytesIO(b"bytes"), None)
    await refuse_medium(session, medium, "it takes too long to look at")
    came_at(medium.public_id).unlink()
    again = await take_upload(session, project.id, "fern.png", io.BytesIO(b"bytes"), None)
    assert (again.id, again.state, again.reason, again.settled_at) == (medium.id, MediumState.waiting, None, None)
    assert came_at(medium.public_id).read_bytes() == b"bytes"
    assert len(await waiting(session, "ExamineMedium")) == 2


async def test_a_file_is_served_by_its_type_and_runs_as_nothing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, person = await make.project(session), await make.user(session)
    await make.member(session, project, person, Role.annotator)
    await sign_in(client, session, person)
    medium = await make.medium(session, project, b"0123456789", media_type="audio/wav", kind=MediumKind.audio)
    for base in ("", "/api/v1"):
        address = f"{base}/projects/{project.public_id}/media/{medium.sha256}"
        whole = await client.get(address)
        assert (whole.status_code, whole.content) == (200, b"0123456789")
        assert whole.headers["Content-Type"] == "audio/wav"
        assert whole.headers["X-Content-Type-Options"] == "nosniff"
        assert whole.headers["Cache-Control"].startswith("private, ")
        assert whole.headers.get_list("Content-Security-Policy")[0].endswith("sandbox")
        assert len(whole.headers.get_list("Content-Security-Policy")) == 1
        part = await client.get(address, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")


async def test_a_file_of_another_project_or_not_ready_is_not_there(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, other, person = await make.project(session), await make.project(session), await make.user(session)
    await make.member(session, project, person, Role.annotator)
    await sign_in(client, session, person)
    theirs, mine = await make.medium(session, other), await make.medium(session, project)
    base = f"/projects/{project.public_id}/media"
    assert (await client.get(f"{base}/{theirs.sha256}")).status_code == 404
    assert (await client.get(f"/projects/{other.public_id}/media/{theirs.sha256}")).status_code == 404
    assert (await client.get(f"{base}/..%2f..%2fsecret")).status_code in (404, 422)
    assert (await client.get(f"{base}/{mine.sha256}")).status_code == 200
    kept_at(mine.sha256 or "").unlink()
    assert (await client.get(f"{base}/{mine.sha256}")).status_code == 404
    await session.execute(update(Medium).values(state=MediumState.refused, reason="no"))
    assert (await client.get(f"{base}/{mine.sha256}")).status_code == 404


async def test_the_page_tells_what_became_of_each_and_fetches_again(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    project, person = await make.project(session), await make.user(session)
    await make.member(session, project, person, Role.engineer)
    await sign_in(client, session, person)
    await bring(session, project, asks(image(url=A)))
    medium = await arrives(session, project, A, refused="its server answered with status 404")
    page = await client.get(f"/projects/{project.public_id}/media")
    assert "its server answered with status 404" in page.text
    done = await client.post(f"/media/{medium.public_id}/again")
    assert done.status_code == 303
    assert len(await waiting(session, "ExamineMedium")) == 2
    assert (await session.get_one(Medium, medium.id)).state is MediumState.waiting


def test_the_folder_holds_files_by_their_hash(home: Path) -> None:
    assert kept_at("ab" * 32).parent.name == "media"
