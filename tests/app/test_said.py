"""Whatever a page says to people is a sentence of the catalogues: nothing is left in the language of its authors."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from zoneinfo import available_timezones

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Role
from app.accounts.routes.account import NAMES
from app.projects.presets import PRESETS
from tests import make
from tests.app.mirrored import TAG, speaking_mirrored
from tests.app.route_table import EXAMPLES, ROUTES
from tests.conftest import sign_in

PAGES = [name.removeprefix("GET ") for name in ROUTES if name.startswith("GET ") and "/api/" not in name]
# what others wrote, what programs read, and what is the same everywhere
NOT_OURS = {"bdi", "code", "kbd", "pre", "script", "style", "time", "q"}
READ_OUT = ("title", "aria-label", "placeholder", "alt")
SAME_EVERYWHERE = {"PPO", "SHA", "EUR", *NAMES.values(), *PRESETS, *available_timezones()}
DATA = {"example", "checkpoint", "person", "Person", "rater", "jsonl", "org"}  # what the examples are called
VOID = {"meta", "link", "input", "br", "hr", "img", "source", "wbr"}


class Said(HTMLParser):
    """What a page says in its own name: its texts, and the attributes that are read out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.around: list[bool] = []  # of each open element: whether its words are not ours
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.texts += [given[name] or "" for name in READ_OUT if name in given]
        self.texts += [value or "" for name, value in attrs if name.startswith("data-says")]
        if tag not in VOID:
            foreign = tag in NOT_OURS or ("dir" in given and tag != "html") or "prose" in (given.get("class") or "")
            self.around.append(foreign)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self.around.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.around):
            self.texts.append(data)


def left(text: str) -> Iterator[str]:
    """Words outside the brackets of sentences."""
    while text != (text := re.sub("⟦[^⟦⟧]*⟧", " ", text)):
        pass
    for word in re.split(r"[\s,:]+", text):
        if word not in SAME_EVERYWHERE and not re.search(r"[0-9a-f]{8}|\w[./@]\w", word):  # a hash, a permission
            yield from (part for part in re.findall(r"[^\W\d_]{3,}", word) if part not in SAME_EVERYWHERE | DATA)


async def test_every_page_says_only_sentences_of_the_catalogues(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    person = await make.user(session, is_admin=True, locale=TAG)
    project = await make.project(session)
    project.name = "7"
    await session.execute(text("UPDATE batches SET name = '7'"))
    await make.member(session, project, person, Role.manager)
    await sign_in(client, session, person)
    found: dict[str, list[str]] = {}
    with speaking_mirrored():
        for page in PAGES:
            address = page
            for name in re.findall(r"{(\w+)(?::\w+)?}", page):
                address = re.sub(rf"{{{name}(:\w+)?}}", await EXAMPLES[name](session, project, person), address)
            answer = await client.get(address)
            assert answer.status_code < 500, page
            if answer.status_code == 200 and answer.headers["content-type"].startswith("text/html"):
                assert 'dir="rtl"' in answer.text or "<html" not in answer.text
                found[page] = [word for text in Said(answer.text).texts for word in left(text)]
    assert len(found) > 40
    assert {page: words for page, words in found.items() if words} == {}
