"""Whole pages and parts of them, and what holds for every template and file we send."""

import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import Request, Response
from jinja2 import UndefinedError

from app import pages
from app.assets import FOLDER, digest, static
from app.pages import NOTICE, TEMPLATES, attributes, redirect, respond
from app.translation import reading
from tests.app import guide

ui = pages.env.globals["ui"]


@pytest.fixture(autouse=True)
def with_guide() -> Iterator[None]:
    loader = pages.env.loader
    guide.add_to(pages.env)
    yield
    pages.env.loader = loader


def ask(cookies: str = "", state: dict[str, object] | None = None, **headers: str) -> Request:
    """A GET request with these headers (`HX_Request="true"`)."""
    sent = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/here",
        "scheme": "http",
        "server": ("hone.test", 80),
        "query_string": b"",
        "headers": [*sent, (b"cookie", cookies.encode())],
        "state": state or {},
    }
    return Request(scope)


def text_of(response: Response) -> str:
    return bytes(response.body).decode()


def draw(request: Request, block: str | None = None) -> str:
    return text_of(respond(request, "guide.html", block, **guide.context()))


class Tree(HTMLParser):
    """Checks that tags nest, and keeps every element with its attributes."""

    VOID = frozenset({"meta", "link", "input", "br", "hr"})
    SVG = frozenset({"path", "circle", "line", "polyline", "rect"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_browser_gets_the_page_and_htmx_the_block() -> None:
    page, block = draw(ask()), draw(ask(HX_Request="true"), "round")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert block == '<p>Round 3 <span class="badge badge-good">open</span></p>'
    assert block in page


@pytest.mark.parametrize("header", ["HX_Boosted", "HX_History_Restore_Request"])
def test_htmx_gets_the_page_when_it_changes_pages(header: str) -> None:
    assert "<html" in draw(ask(HX_Request="true", **{header: "true"}), "round")


def test_caches_are_told_that_both_exist_and_that_pages_are_private() -> None:
    response = respond(ask(), "guide.html", "round", **guide.context())
    assert (response.headers["vary"], response.headers["cache-control"]) == ("HX-Request", "no-store")


def test_a_part_can_be_sent_to_another_place() -> None:
    asked = ask(HX_Request="true")
    assert respond(asked, "guide.html", "round", into="notices").headers["hx-retarget"] == "#notices"
    assert "hx-retarget" not in respond(ask(), "guide.html", "round", into="notices", **guide.context()).headers


def test_the_head_knows_who_is_here() -> None:
    person = SimpleNamespace(name="<Ada>", is_admin=False, unread=0)
    with reading("de", "Europe/Berlin"):
        page = draw(ask(state={"person": person, "may": lambda permission: permission == "run.read"}))
    assert "&lt;Ada&gt;" in page
    assert "<Ada>" not in page
    assert "05:12</time>" in page  # 04:12 in UTC
    assert "12.345" in page
    assert "/runs" in page
    assert "/datasets" not in page
    assert "/people" not in page


def test_a_stranger_sees_no_section_and_a_way_in() -> None:
    page = draw(ask())
    assert 'href="/sign-in"' in page
    assert ">Runs</span>" not in page


def test_the_theme_is_in_the_page_from_the_first_byte() -> None:
    assert '<html lang="en" dir="ltr" data-theme="dark">' in draw(ask("hone_theme=dark"))
    assert 'data-theme="auto"' in draw(ask('hone_theme="><script>'))


def test_a_notice_is_said_once_on_the_next_page() -> None:
    moved = redirect(ask(), "/next", "Saved <b>.")
    assert (moved.status_code, moved.headers["location"]) == (303, "/next")
    cookie = moved.headers["set-cookie"].split(";")[0]
    shown = respond(ask(cookie), "guide.html", **guide.context())
    assert "Saved &lt;b&gt;." in text_of(shown)
    assert f'{NOTICE}="";' in shown.headers["set-cookie"]


def test_a_part_leaves_the_notice_for_the_page() -> None:
    cookie = redirect(ask(), "/next", "Saved.").headers["set-cookie"].split(";")[0]
    assert "set-cookie" not in respond(ask(cookie, HX_Request="true"), "guide.html", "round").headers


@pytest.mark.parametrize(
    "value", ["x", "W10=", "WyJhIl0=", '"', "bnVsbA==", "WyJldmlsIiwgIngiXQ==", "//79", "W1tdLCJ4Il0="]
)
def test_a_notice_that_is_not_ours_is_ignored(value: str) -> None:
    assert respond(ask(f"{NOTICE}={value}"), "guide.html", **guide.context()).status_code == 200


def test_htmx_follows_a_redirect_as_a_page() -> None:
    moved = redirect(ask(HX_Request="true"), "/next")
    assert (moved.status_code, moved.headers["hx-redirect"]) == (204, "/next")


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        pages.env.from_string("{{ nobody }}").render()


def test_a_static_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        static("missing.css")
    assert static("app.css") == f"/static/{digest()}/app.css"


def test_keywords_become_attributes() -> None:
    written = attributes({"hx_post": '/x?a="b"', "disabled": True, "autofocus": False, "title": None, "for_": "y"})
    assert written == ' hx-post="/x?a=&#34;b&#34;" disabled for="y"'
    with pytest.raises(ValueError, match="attribute"):
        attributes({"x onclick": "y"})


def test_the_guide_nests_and_breaks_no_policy() -> None:
    tree = Tree(draw(ask(state={"may": lambda permission: True})))
    ids = [attrs["id"] for _, attrs in tree.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in tree.elements:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith(("on", "hx-on"))]
        if tag == "form":
            assert attrs["action"]
            assert attrs["method"]
        if tag == "svg":
            assert "aria-label" in attrs or "aria-hidden" in attrs or "viewbox" in attrs
        for name in ("aria-describedby", "aria-labelledby", "for", "popovertarget"):
            for target in (attrs.get(name) or "").split():
                assert target in ids, (tag, name, target)


def test_every_part_stands_in_the_guide() -> None:
    shown = Path(guide.__file__).with_suffix(".html").read_text() + (TEMPLATES / "layout.html").read_text()
    internal = {"described", "field", "key", "dialog", "opens", "closes", "nav_entry"}
    parts = set(re.findall(r"{% macro (\w+)", (TEMPLATES / "_macros.html").read_text()))
    assert parts - internal <= set(re.findall(r"ui\.(\w+)", shown))


def test_an_error_stands_beside_its_field() -> None:
    drawn = str(ui.number("lr", "Rate", -1, error="must be <positive>", hint="per step", min=0))
    attrs = next(attrs for tag, attrs in Tree(drawn).elements if tag == "input")
    assert (attrs["aria-invalid"], attrs["aria-describedby"], attrs["min"]) == (
        "true",
        "field-lr-error field-lr-hint",
        "0",
    )
    assert 'id="field-lr-error">must be &lt;positive&gt;<' in drawn


def test_words_of_strangers_are_escaped_in_every_part() -> None:
    evil = '"><script>alert(1)</script>'
    for drawn in (
        ui.text("a", evil, evil, hint=evil, error=evil),
        ui.select("a", evil, [(evil, evil)], evil),
        ui.textarea("a", evil, evil),
        ui.radios("a", evil, [(evil, evil)], evil),
        ui.badge(evil),
        ui.copy(evil, evil, evil),
        ui.page_header(evil, [(evil, evil)], evil),
        ui.line_chart([(evil, [(0, 1), (1, 2)])], evil, evil),
        ui.bars([(evil, 1)], evil),
        ui.confirm("x", evil, evil, evil, fields={evil: evil}),
        ui.empty(evil, evil, evil, evil),
        ui.written(evil),
        ui.button(evil, href=evil, title=evil),
    ):
        assert "script" not in [tag for tag, _ in Tree(str(drawn)).elements]


def test_a_section_is_marked_on_pages_below_it_wherever_they_live() -> None:
    def marked(here: str, path: str = "/runs") -> bool:
        return "aria-current" in ui.nav_entry("x", f"/projects/p{path}", here, exact=path == "", also=path)

    assert marked("/projects/p/runs")
    assert marked("/projects/p/runs/new")
    assert marked("/runs/7")
    assert marked("/projects/p", "")
    assert not marked("/projects/p/runs", "")
    assert not marked("/projects/p/runs-of-luck")


def test_a_state_is_told_in_words_and_colour() -> None:
    assert ui.badge("set_aside") == '<span class="badge badge-warn">set aside</span>'
    assert ui.badge("unheard of") == '<span class="badge badge-calm">unheard of</span>'


def test_a_form_asks_both_ways() -> None:
    drawn = pages.env.from_string('{% call ui.form("/runs", target="run") %}x{% endcall %}').render()
    assert 'action="/runs" method="post" hx-post="/runs" hx-target="#run"' in drawn


def templates() -> list[Path]:
    return sorted(TEMPLATES.rglob("*.html"))


def test_styles_know_no_left_or_right() -> None:
    """Pages mirror for languages that run from right to left; code runs one way, and texts say themselves (`align`)."""
    sides = re.compile(r"(margin|padding|border)-(left|right)|(?<![-\w])(left|right):|text-align: (left|right)")
    for path in [*FOLDER.glob("*.css"), *FOLDER.glob("kinds/*.css")]:
        for line in path.read_text().splitlines():
            assert not sides.search(line) or "[align=" in line or line.startswith(".code "), (path.name, line)


@pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_template_carries_script_or_style_or_trusts_html(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|hx-on", source)
    assert not re.search(r"<script(?![^>]*\ssrc=)", source)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", source)
    # Jinja trusts what gettext returns, so a variable inside _() would be a hole
    assert path.name == "_macros.html" or not re.search(r"\b(_|gettext)\(\s*(?![\"'\s])", source)
    assert path.name == "_macros.html" or not re.search(r"\|\s*safe|autoescape|Markup", source)


def test_python_trusts_html_only_where_it_makes_it() -> None:
    trusting = {
        path.name for path in Path(pages.__file__).parent.rglob("*.py") if re.search(r"\bMarkup\(", path.read_text())
    }
    assert trusting <= {"pages.py", "wording.py"}


def test_vendored_files_are_those_of_the_manifest() -> None:
    vendor = FOLDER / "vendor"
    manifest = json.loads((vendor / "manifest.json").read_text())
    listed = {name: wanted for package in manifest.values() for name, wanted in package["files"].items()}
    found = {str(path.relative_to(vendor)) for path in vendor.rglob("*") if path.is_file()} - {"manifest.json"}
    assert found == listed.keys()
    for name, wanted in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == wanted, name
    assert all(package["version"] and package["licence"] and package["source"] for package in manifest.values())


def test_htmx_is_told_to_run_nothing_and_to_show_refusals() -> None:
    page = draw(ask())
    settings = json.loads(re.search(r"name=\"htmx-config\" content='(.*?)'", page)[1])  # type: ignore[index]
    assert settings["includeIndicatorStyles"] is settings["allowEval"] is settings["allowScriptTags"] is False
    assert settings["selfRequestsOnly"] is True
    assert settings["historyCacheSize"] == 0
    handling = [(re.compile(rule["code"]), rule["swap"]) for rule in settings["responseHandling"]]
    for code, swapped in {
        "200": True,
        "204": False,
        "403": True,
        "404": True,
        "409": True,
        "422": True,
        "500": True,
    }.items():
        assert next(swap for pattern, swap in handling if pattern.search(code)) is swapped


def luminance(colour: str) -> float:
    """WCAG 2.2 relative luminance of #rrggbb."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


WORDS = [
    *((words, ground) for words in ("text", "quiet", "accent") for ground in ("page", "surface", "sunken")),
    *((tone, f"{tone}-soft") for tone in ("good", "bad", "warn", "busy", "cold")),
    *(("text", f"{tone}-soft") for tone in ("good", "bad", "warn", "busy")),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("accent-strong", "accent-soft"),
    ("quiet", "accent-soft"),
    ("bad", "surface"),
]
MARKS = [
    (mark, ground)
    for mark in ("edge", "accent", "curve-1", "curve-4", "curve-5", "cold", "busy")
    for ground in ("page", "surface")
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(theme: int) -> None:
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (FOLDER / "app.css").read_text())
    colours = {name: (light, dark)[theme] for name, light, dark in found}
    for words, ground in WORDS:
        assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
    for mark, ground in MARKS:
        assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground)
