"""A project in one sitting: what the page begins with, what it takes, and that nothing typed is lost on a refusal."""

import re
from html import unescape

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.tables import Link
from app.annotations.tables import Annotation, Draft
from app.completions.tables import Completion
from app.events import Event
from app.projects.purposes import PURPOSES, start_of
from app.projects.queries import default_batch, newest_guidelines, newest_protocol
from app.projects.sitting import FIRST, as_lines, choices, defaults_of, turned_to
from app.projects.tables import Project
from app.prompts.tables import Prompt
from app.tasks.tables import Task
from tests import make
from tests.conftest import sign_in

PROMPTS = '{"id": "a", "prompt": "Why is the sky blue?"}\n{"id": "b", "prompt": "Why is grass green?"}\n'
ANSWERS = "".join(
    f'{{"prompt_id": "{prompt}", "text": "Because {n}.", "model": "one"}}\n' for prompt in "ab" for n in "12"
)


async def admin(client: httpx.AsyncClient, session: AsyncSession) -> httpx.AsyncClient:
    await sign_in(client, session, await make.user(session, is_admin=True))
    return client


def fields(page: str) -> dict[str, str]:
    """What a browser would send back unchanged: the name of every field with its value."""
    form = page[page.index('action="/projects"') : page.index("</form>", page.index('name="began"'))]
    before, _sample, rest = form.partition('<fieldset class="sample" disabled')  # what is disabled is never sent
    form = before + rest[rest.index("Trying opens the real page") :]
    said = dict(re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', form))
    said |= dict(re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL))
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', options)
        said[name] = chosen.group(1) if chosen else ""
    return {name: unescape(value) for name, value in said.items()}


async def the_project(session: AsyncSession) -> Project:
    return (await session.scalars(select(Project))).one()


def test_each_purpose_names_the_study_under_it_and_has_texts_to_try() -> None:
    (_, purposes), (_, studies) = choices()
    assert [key for key, _words in purposes] == [
        "support",
        "moderation",
        "code",
        "news",
        "writing",
        "captions",
        "red-team",
    ]
    assert all(f"after {PURPOSES[key].preset.key}" in words for key, words in purposes)
    assert len(studies) == 9
    for key, _words in purposes + studies:
        preset, example = start_of(key)
        assert len(set(example.some(preset.protocol.completions))) == preset.protocol.completions
        assert defaults_of(key)["name"]


def test_what_was_written_by_hand_stays_when_another_purpose_is_chosen() -> None:
    began = {"purpose": "support", "began": "support"} | defaults_of("support")
    windows = began | {"guidelines": began["guidelines"].replace("\n", "\r\n")}
    turned = turned_to(windows | {"purpose": "captions"})
    assert turned["guidelines"] == defaults_of("captions")["guidelines"]
    assert (turned["name"], turned["k"], turned["began"]) == ("Image captions", "3", "captions")
    mine = began | {"guidelines": "Mine.", "name": "Ours", "k": "2", "purpose": "captions", "people": "a@example.org"}
    turned = turned_to(mine)
    assert (turned["guidelines"], turned["name"], turned["k"]) == ("Mine.", "Ours", "2")
    assert turned["people"] == "a@example.org"


def test_pasted_prompts_are_lines_or_jsonl() -> None:
    assert as_lines("One?\r\n\n  Two “quoted”? ") == b'{"prompt": "One?"}\n{"prompt": "Two \\u201cquoted\\u201d?"}'
    assert as_lines(PROMPTS) == PROMPTS.encode()


async def test_the_page_has_at_most_twelve_fields_and_works_as_it_stands(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    page = (await client.get("/projects/new")).text
    files = set(re.findall(r'name="(\w+)" type="file"', page))
    said = fields(page)
    assert len((set(said) | files) - {"began"}) <= 12
    made = await client.post("/projects", data=said)
    assert made.status_code == 303, made.text
    project = await the_project(session)
    assert project.name == "Support chat"
    assert (await newest_protocol(session, project.id)).body["preset"] == "hh"
    assert made.headers["Location"] == f"/projects/{project.public_id}"
    assert "Import prompts" in (await client.get(made.headers["Location"])).text


async def test_another_purpose_brings_its_own_words_and_keeps_nothing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    said = fields((await client.get("/projects/new")).text)
    turned = await client.post("/projects/new", data=said | {"purpose": "captions", "prompts": "Mine, typed before"})
    assert turned.status_code == 200
    now = fields(turned.text)
    assert (now["k"], now["name"], now["prompts"]) == ("3", "Image captions", "Mine, typed before")
    assert "<strong>Faithful</strong>" not in turned.text  # guidelines are text in a box, not a page
    assert "helpsteer2" in turned.text
    assert "Concise" in turned.text
    assert (await session.scalar(select(func.count()).select_from(Project))) == 0


async def test_prompts_answers_and_people_come_along(client: httpx.AsyncClient, session: AsyncSession) -> None:
    await admin(client, session)
    said = fields((await client.get("/projects/new?purpose=writing")).text)
    sent = said | {"prompts": "Write a line.", "people": "one@example.org, two@example.org", "k": "2"}
    files = {
        "prompts_file": ("prompts.jsonl", PROMPTS.encode()),
        "answers_file": ("answers.jsonl", ANSWERS.encode()),
    }
    made = await client.post("/projects", data=sent, files=files)
    assert made.status_code == 200, made.text
    assert made.text.count("/invitations/") == 2  # no mail here: links to hand over, shown once
    assert "prompts.jsonl: 2 new" in made.text
    project = await the_project(session)
    assert (await default_batch(session, project.id)).k == 2
    assert (await session.scalar(select(func.count()).select_from(Prompt))) == 3
    assert (await session.scalar(select(func.count()).select_from(Completion))) == 4
    assert (await session.scalar(select(func.count()).select_from(Link).where(Link.project_id == project.id))) == 2


@pytest.mark.parametrize(
    ("wrong", "files", "sentence"),
    [
        ({"people": "one@example.org, nobody"}, {}, "“nobody” is not an e-mail address"),
        ({"k": "0"}, {}, "greater than or equal to 1"),
        ({"name": " "}, {}, "at least 1 character"),
        ({"purpose": "world peace"}, {}, "choose one of the purposes"),
        ({"checkpoint": "00000000-0000-4000-8000-000000000000"}, {}, "no such checkpoint"),
        ({"prompts": '{"nothing": 1}'}, {}, "nothing of it could be used; line 1"),
        ({}, {"prompts_file": ("p.jsonl", b"{not json")}, "nothing of it could be used; line 1"),
        ({}, {"answers_file": ("a.jsonl", ANSWERS.encode())}, "no prompt here is called “a”"),
    ],
)
async def test_a_refusal_stands_beside_its_field_and_keeps_every_word(
    client: httpx.AsyncClient, session: AsyncSession, wrong: dict, files: dict, sentence: str
) -> None:
    await admin(client, session)
    said = fields((await client.get("/projects/new")).text)
    sent = said | {"guidelines": "My hour of work", "prompts": "Typed by hand", "name": "Mine"} | wrong
    refused = await client.post("/projects", data=sent, files=files or None)
    assert refused.status_code == 422
    assert sentence.lower() in unescape(refused.text).lower()
    assert 'class="field-error"' in refused.text
    now = fields(refused.text)
    kept = {name: value for name, value in sent.items() if name not in ("purpose", "checkpoint")}
    assert {name: now[name] for name in kept} == kept
    assert (await session.scalar(select(func.count()).select_from(Project))) == 0
    assert (await session.scalar(select(func.count()).select_from(Prompt))) == 0


async def test_a_form_with_nothing_in_it_is_the_page_with_what_is_missing(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    refused = await client.post("/projects")
    assert refused.status_code == 422
    assert refused.text.count('class="field-error"') == 2  # purpose and name; the rest has defaults


async def nothing_stored(session: AsyncSession) -> bool:
    counts = [await session.scalar(select(func.count()).select_from(table)) for table in (Annotation, Draft, Task)]
    said = select(func.count()).select_from(Event).where(Event.kind.like("annotation.%"))
    return [*counts, await session.scalar(said)] == [0, 0, 0, 0]


async def test_a_purpose_is_tried_on_the_real_page_and_nothing_is_kept(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    page = (await client.get("/projects/new/try?purpose=support")).text
    assert 'data-mode="trial"' in page
    assert "nothing you say here is kept" in page
    assert 'name="choice" value="0.4"' in page
    told = await client.post(
        "/projects/new/try?purpose=support", data={"key": "x", "choice": "1.2"}, headers={"HX-Request": "true"}
    )
    assert told.status_code == 422  # a key that is none
    key = re.search(r'name="key" value="([^"]+)"', page).group(1)
    address = "/projects/new/try?purpose=support"
    told = await client.post(address, data={"key": key, "choice": "1.2"}, headers={"HX-Request": "true"})
    assert told.status_code == 200
    assert "<q>B slightly better</q>" in told.text
    refused = await client.post(address, data={"key": key, "choice": "tie"}, headers={"HX-Request": "true"})
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (422, "#refusal")
    assert "does not offer" in refused.text
    assert await nothing_stored(session)
    assert (await client.get("/projects/new/try?purpose=nothing")).status_code == 404


async def test_a_project_is_tried_with_its_own_texts_once_there_are_some(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    made = await client.post("/projects", data=fields((await client.get("/projects/new?purpose=writing")).text))
    address = made.headers["Location"] + "/try"
    assert "The texts are made up" in (await client.get(address)).text
    project = await the_project(session)
    prompt = await make.prompt(session, project, "Sing of the sea.")
    for text in ("Waves.", "Salt."):
        await make.completion(session, prompt, text)
    page = (await client.get(address)).text
    assert "own" in page
    assert "Sing of the sea." in page
    assert "Salt." in page
    assert await nothing_stored(session)


async def test_who_may_not_make_projects_sees_neither_page(client: httpx.AsyncClient, session: AsyncSession) -> None:
    await sign_in(client, session, await make.user(session))
    for address in ("/projects/new", "/projects/new/try"):
        assert (await client.get(address)).status_code == 403
    assert FIRST in PURPOSES


async def test_guidelines_of_a_purpose_are_stored_as_they_were_shown(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    await admin(client, session)
    made = await client.post("/projects", data=fields((await client.get("/projects/new?purpose=red-team")).text))
    assert made.status_code == 303, made.text
    project = await the_project(session)
    assert (await newest_guidelines(session, project.id)).markdown.startswith("This project looks for answers")
