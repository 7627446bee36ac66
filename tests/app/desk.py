"""A manager's browser without a window: pages, their links and their forms, and how many clicks something is away."""

import re
from html.parser import HTMLParser

import httpx


class Page(HTMLParser):
    """links: addresses. forms: fields with the values that they come with, by the address they are sent to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: dict[str, dict[str, str | list[str]]] = {}
        self._form: dict[str, str | list[str]] = {}
        self._select: str | None = None
        self._area: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self._form = self.forms.setdefault(given.get("action", ""), {})
        elif tag == "input" and name and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self._form[name] = given.get("value", "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self._form):
            self._form[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._area = name
            self._form[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._form[self._area] = str(self._form[self._area]) + data.removeprefix("\n")


class Desk:
    """Begins at a page, follows links that are there, and sends forms that are there."""

    def __init__(self, client: httpx.AsyncClient, start: str) -> None:
        self.client = client
        self.start = start
        self.html = ""
        self.clicks = 0

    async def begin(self) -> None:
        """Back at the start; clicks are counted from here."""
        await self._show(self.start)
        self.clicks = 0

    async def follow(self, address: str) -> None:
        """Click on the first link whose address matches."""
        found = next((link for link in Page(self.html).links if re.search(address, link)), None)
        assert found, f"no link to {address} after {self.clicks} clicks: {sorted(set(Page(self.html).links))}"
        self.clicks += 1
        await self._show(found)

    async def send(self, action: str, **fields: str | list[str]) -> None:
        """Fill in a form of this page, whose address matches, and send it; the page that follows is shown."""
        forms = Page(self.html).forms
        found = next((address for address in forms if re.search(action, address)), None)
        assert found is not None, f"no form for {action}: {sorted(forms)}"
        answer = await self.client.post(found, data=forms[found] | fields)
        assert answer.status_code == 303, (found, answer.status_code, answer.text[:3000])
        await self._show(answer.headers["location"])

    async def _show(self, address: str) -> None:
        answer = await self.client.get(address)
        while answer.status_code in (302, 303, 307):
            answer = await self.client.get(answer.headers["location"])
        assert answer.status_code == 200, (address, answer.status_code)
        self.html = answer.text
