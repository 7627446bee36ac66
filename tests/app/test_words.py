"""The catalogues hold every sentence of the interface with the same placeholders; readers get their language."""

import re
from collections.abc import Iterator
from string import Formatter

import httpx
import pytest
from babel.messages import Message
from babel.messages.pofile import read_po
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import pages, translation, words
from app.accounts.actions.letters import write_letter
from app.accounts.actions.links import give_link
from app.accounts.permissions import Role
from app.accounts.tables import LinkKind
from app.findings import reason_of
from app.prompts.tables import Import
from app.translation import (
    LANGUAGES,
    SOURCE,
    _,
    asked_for,
    language_of,
    ngettext,
    po_file,
    reader_of,
    reading,
    retold,
)
from tests import make
from tests.conftest import sign_in

OTHERS = [language for language in LANGUAGES if language != SOURCE]
PERCENT = re.compile(r"%(?:\((\w+)\)[sd]|%)")


def entries(language: str) -> list[Message]:
    with po_file(language).open("rb") as file:
        return [said for said in read_po(file, locale=language) if said.id]


def forms(said: Message) -> Iterator[tuple[str, str]]:
    """Each translation with the English that it stands for: the first form may do without the number, as “one” does."""
    if isinstance(said.id, str):
        yield said.id, str(said.string)
        return
    one, many = said.id
    for number, form in enumerate(said.string):
        says_number = "{" in form or "%(num)s" in form
        yield (one if number == 0 and not says_number else many), form


def is_of_template(said: Message) -> bool:
    return any(path.startswith("templates/") for path, _line in said.locations)


def holes(text: str) -> set[str]:
    """Names in braces, as str.format finds them, with how they are written out (`{size:.1f}`).

    :raises ValueError: a brace that is not closed.
    """
    return {f"{name}:{spec}" for _text, name, spec, _conversion in Formatter().parse(text) if name is not None}


def wrong_with(said: Message) -> Iterator[str]:
    for english, told in forms(said):
        if not told.strip():
            yield "it is not translated"
        if said.fuzzy:
            yield "it is fuzzy"
        if is_of_template(said):
            if PERCENT.findall(english).count("") != PERCENT.findall(told).count(""):
                yield "a bare percent sign is written %%"
            if set(PERCENT.findall(english)) != set(PERCENT.findall(told)) or "%" in PERCENT.sub("", told):
                yield "its %(placeholders)s differ"
            if sorted(re.findall("[<>&]", english)) != sorted(re.findall("[<>&]", told)):
                yield "what stands in templates counts as HTML"
        elif holes(english) != holes(told):
            yield "its {placeholders} differ"
        if (english[:1].isspace(), english[-1:].isspace()) != (told[:1].isspace(), told[-1:].isspace()):
            yield "it begins or ends with a space where the other does not"


@pytest.fixture(scope="module")
def spoken() -> dict[object, list[str]]:
    """Every sentence in the code, and where."""
    return {said.id: [path for path, _line in said.locations] for said in words.collected() if said.id}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_in_the_catalogue(language: str, spoken: dict[object, list[str]]) -> None:
    kept = {said.id for said in entries(language)}
    missing = {said: places for said, places in spoken.items() if said not in kept}
    assert not missing, f"run `make words` and translate: {missing}"
    assert not kept - set(spoken), f"run `make words`: nobody says {kept - set(spoken)}"


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated_with_its_placeholders(language: str) -> None:
    wrong = {said.id: found for said in entries(language) if (found := sorted(set(wrong_with(said))))}
    assert not wrong, "\n".join(f"{said!r}: {'; '.join(found)}" for said, found in wrong.items())


@pytest.mark.parametrize(
    ("english", "told", "template", "found"),
    [
        ("Saved.", "", False, "it is not translated"),
        ("{n} answers", "{m} Antworten", False, "its {placeholders} differ"),
        ("%(n)s answers", "%(m)s Antworten", True, "its %(placeholders)s differ"),
        ("%(n)s answers", "% Antworten", True, "its %(placeholders)s differ"),
        ("90 %% agree", "90 % stimmen", True, "a bare percent sign is written %%"),
        ("a reason", "<b>Grund</b>", True, "what stands in templates counts as HTML"),
        (" (dry run)", "(Probelauf)", False, "it begins or ends with a space where the other does not"),
        ("{n:.1f} GB", "{n:.1f} GB", False, None),
        ("%(n)s of %(all)s", "von %(all)s %(n)s", True, None),
    ],
)
def test_faults_of_a_translation_are_named(english: str, told: str, template: bool, found: str | None) -> None:
    said = Message(english, told, locations=[("templates/x.html" if template else "app/x.py", 1)])
    assert (found in set(wrong_with(said))) if found else not set(wrong_with(said))


def test_no_sentence_is_put_together_before_it_is_translated() -> None:
    """`_(f"…")` or `_("…" + name)` would be in no catalogue; Babel finds no literal there and passes over it."""
    pattern = re.compile(r"\b(?:_|ngettext)\(\s*(?:f[\"']|[\"'][^\"'\n]*[\"']\s*(?:\+|~))")
    for folder, files in words.SOURCES:
        for path in (words.ROOT / folder).rglob(files):
            assert not pattern.search(path.read_text()), path


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR, de;q=0.4, en;q=0.6", "en"),
        ("fr, DE-at ; q=0.4", "de"),
        ("en-GB, de;q=0.9", "en"),
        ("de;q=0, fr", "en"),
        ("*", "en"),
        ("de;q=x, ;;,,é", "en"),
        ("," * 1000, "en"),
    ],
)
def test_a_browser_asks_for_a_language(header: str, language: str) -> None:
    assert asked_for(header) == language


def test_counts_have_their_form() -> None:
    assert [ngettext("{n} answer", "{n} answers", n) for n in (0, 1, 2)] == ["{n} answers", "{n} answer", "{n} answers"]
    ask = pages.env.from_string('{{ ngettext("%(num)s vote", "%(num)s votes", count) }}')
    assert [ask.render(count=count) for count in (1, 1200)] == ["1 vote", "1,200 votes"]


def test_what_was_marked_at_import_is_translated_when_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pages.env.from_string("{{ sentence|translated }}")
    assert shown.render(sentence="Please sign in.") == "Please sign in."
    with reading("de"):
        assert shown.render(sentence="Please sign in.") == _("Please sign in.") != "Please sign in."
        assert shown.render(sentence="<b>") == "&lt;b&gt;"


def test_what_was_stored_in_english_is_told_in_the_readers_language() -> None:
    assert retold("It could not begin: KeyError: 'x'.") == "It could not begin: KeyError: 'x'."
    with reading("de"):
        assert retold("it is empty") == _("it is empty") != "it is empty"
        stored = "{name} has {size}; at most {most} are fetched (HONE_MAX_CHECKPOINT_GB)."
        told = {"name": "a {b}", "size": "9 GB", "most": "8 GB"}
        assert retold(stored.format(**told)) == _(stored).format(**told) != stored.format(**told)
        inside = retold("this file is broken: this FLAC file is broken")  # a sentence as the value of another
        assert inside == _("this file is broken: {reason}").format(reason=_("this FLAC file is broken"))
        assert retold("nobody of ours says this") == "nobody of ours says this"


def test_findings_of_pydantic_are_told_in_the_readers_language() -> None:
    class Asked(BaseModel):
        n: int = Field(ge=3)
        name: str = Field(max_length=2)

    with pytest.raises(ValidationError) as wrong:
        Asked.model_validate({"n": 1, "name": "long"})
    with reading("de"):
        said = [reason_of(found) for found in wrong.value.errors()]
    assert said == ["Der Wert muss mindestens 3 sein", "Der Text darf höchstens 2 Zeichen haben"]


def test_a_terminal_has_a_language() -> None:
    assert language_of({"LANG": "de_AT.UTF-8"}) == "de-AT"
    assert language_of({"LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8"}) == "C"
    assert language_of({}) == "en"
    assert reader_of("C").catalogue.language == "en"


async def test_what_an_import_keeps_is_english_for_everybody(client: httpx.AsyncClient, session: AsyncSession) -> None:
    person = await make.user(session, locale="de")
    project = await make.project(session)
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    address = f"/projects/{project.public_id}/prompts/import"
    await client.post(address, files={"file": ("x.jsonl", b"nonsense")}, data={"confirm": "1"})
    kept = (await session.scalars(select(Import))).one()
    assert "not JSON at character 1" in str(kept.report)
    page = await client.get(f"/projects/{project.public_id}/imports/{kept.public_id}")
    assert "kein JSON bei Zeichen 1" in page.text


async def test_mails_are_in_the_language_of_their_reader(session: AsyncSession) -> None:
    link, _path = await give_link(session, LinkKind.invitation, email="new@example.org")
    letter = await write_letter(session, link.id, "de")  # nobody is known by that address: as the inviter speaks
    assert letter
    assert letter.subject == "Einladung zu Hone"
    person = await make.user(session, locale="en")
    link, _path = await give_link(session, LinkKind.password_reset, email=person.email)
    letter = await write_letter(session, link.id, "de")
    assert letter
    assert letter.subject == "Set a new password for Hone"


async def test_pages_speak_as_the_person_chose_else_as_the_browser_asks(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    async def said_by(address: str, **headers: str) -> tuple[str, str]:
        page = await client.get(address, headers=headers)
        found = re.search(r'<html lang="(\w+)" dir="(\w+)"', page.text)
        assert found, page.text[:300]
        return found[1], found[2]

    german = {"Accept-Language": "de-AT, en;q=0.5"}
    assert await said_by("/sign-in") == ("en", "ltr")
    assert await said_by("/sign-in", **german) == ("de", "ltr")
    assert await said_by("/nowhere", **german) == ("de", "ltr")
    assert (await client.post("/language", data={"locale": "en", "next": "/forgot"})).headers["location"] == "/forgot"
    assert await said_by("/sign-in", **german) == ("en", "ltr")
    assert (await client.post("/language", data={"locale": "tlh"})).status_code == 422
    client.cookies.clear()
    person = await make.user(session)
    await sign_in(client, session, person)
    assert await said_by("/account", **german) == ("de", "ltr")
    profile = {"name": "Ada", "zone": "UTC", "locale": "en"}
    assert (await client.post("/account", data=profile)).status_code == 303
    assert await said_by("/account", **german) == ("en", "ltr")
    assert translation.reader.get() == translation.NOBODY  # nothing stays behind a request


async def test_programs_are_answered_in_english_unless_they_ask(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person = await make.user(session, locale="de")
    await sign_in(client, session, person)
    address = "/api/v1/projects/00000000-0000-0000-0000-000000000000"
    english = "There is nothing here, or it is not for you."
    assert (await client.get(address)).json()["title"] == english
    told = (await client.get(address, headers={"Accept-Language": "de"})).json()
    with reading("de"):
        assert told["title"] == _(english) != english
    assert told["type"] == "urn:hone:not-found"
