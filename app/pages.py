"""Draws pages: one Jinja environment, and `respond`, which sends a whole page or the one block that htmx asked for."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

import app.charts as charts
from app import shortcuts, wording
from app.assets import static
from app.translation import LANGUAGES, _, ngettext, reader, retold

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NOTICE = "hone_notice"
THEMES = ("light", "dark")
CONTRASTS = {"more": "all", "less": "not all"}  # when contrast.css holds; otherwise as the system asks
# what states of things are called, by the colour of their badge
STATES = {
    "calm": (
        *(_("waiting"), _("queued"), _("draft"), _("free"), _("skipped")),
        *(_("closed"), _("withdrawn"), _("archived"), _("empty"), _("off")),
    ),
    "busy": (
        *(_("running"), _("started"), _("checking"), _("freezing"), _("generating")),
        *(_("leased"), _("doing"), _("pilot"), _("label"), _("admin")),
    ),
    "good": (
        *(_("finished"), _("succeeded"), _("done"), _("live"), _("open")),
        *(_("accepted"), _("ready"), _("active"), _("answered"), _("on")),
    ),
    "bad": (*(_("failed"), _("refused"), _("lost"), _("revoked"), _("disabled")),),
    "warn": (
        *(_("cancelled"), _("cancelling"), _("surplus"), _("expired"), _("paused")),
        *(_("stalled"), _("set aside"), _("interrupted"), _("held-out"), _("held out")),
    ),
    "cold": (*(_("frozen"), _("train")),),
}


def attributes(given: dict[str, Any]) -> Markup:
    """Keyword arguments as attributes: `hx_post` → hx-post, True → bare, None and False → left out."""
    written = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        if not key.replace("-", "").isalnum():
            raise ValueError(f"{name!r} cannot be the name of an attribute")
        written.append(Markup(" {}").format(key) if value is True else Markup(' {}="{}"').format(key, value))
    return Markup("").join(written)


def _translate(sentence: str, /, **values: object) -> Markup:
    """What `_` does in templates: as the extension's own, which looks itself up twice for every sentence."""
    said = Markup(_(sentence))  # noqa: S704  our own words
    return said % values if "%" in said else said


def _translate_plural(one: str, many: str, count: int, /, **values: object) -> Markup:
    """`%(num)s` in it is the count as the reader writes numbers, unless `num` is given. A sentence may name a value
    whatever it likes: `count` as well."""
    said = Markup(ngettext(one, many, count))  # noqa: S704  our own words
    return said % ({"num": wording.number(count)} | values)


@pass_context  # the compiler works out filters of constants once, for whoever reads first
def _translate_marked(_context: Context, sentence: str) -> str:
    """A sentence of ours that was marked where it stands (a module's constant), in the reader's language."""
    return _(str(sentence))


@pass_context
def _pressed(_context: Context, key: str) -> str:
    """The key that this person presses for an action of the page."""
    return shortcuts.pressed(key)


@pass_context
def _choice_key(_context: Context, number: int) -> str:
    """The page's own key of the nth choice of a question."""
    return shortcuts.choice_key(number)


@pass_context
def _retell(_context: Context, sentence: object) -> str:
    """A sentence that was stored, in the reader's language."""
    return retold(str(sentence))


def build_environment() -> Environment:
    """Autoescape everywhere, names that are not there are errors, and macros at hand in every block as `ui`."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # a running server never mixes old code with new templates
        cache_size=-1,
    )
    env.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined]
    env.globals |= {"_": _translate, "gettext": _translate, "ngettext": _translate_plural}
    env.filters |= {
        "number": wording.number,
        "percent": wording.percent,
        "instant": wording.instant,
        "day": wording.day,
        "duration": wording.duration,
        "bytes": wording.byte_size,
        "translated": _translate_marked,
        "retold": _retell,
        "attributes": attributes,
        "pressed": _pressed,
        "choice_key": _choice_key,
    }
    env.globals |= {"static": static, "charts": charts, "languages": LANGUAGES}
    env.globals["tones"] = {word: tone for tone, words in STATES.items() for word in words}
    # a block drawn alone never runs its page's imports, so the macros are a global
    env.globals["ui"] = env.get_template("_macros.html").module
    return env


env = build_environment()


def respond(
    request: Request, page: str, block: str | None = None, status: int = 200, into: str | None = None, **context: object
) -> Response:
    """The page, or only its `block` when htmx asks for a part.

    `into` names the element's id that the part goes to instead of the one the request named (a refusal is shown
    beside a form, never in its place). Templates may always use me, may(…), here, project and notices.
    """
    person = getattr(request.state, "person", None)
    wanted = block if wants_part(request) else None
    with shortcuts.pressing(getattr(person, "preferences", None)):
        html = draw(page, wanted, _shared(request, person) | context)
    response = part(html, status)
    if wanted and into:
        response.headers.update({"HX-Retarget": f"#{into}", "HX-Reswap": "innerHTML"})
    if not wanted and NOTICE in request.cookies:
        response.delete_cookie(NOTICE)
    return response


def part(html: str, status: int = 200) -> Response:
    """HTML that depends on who asks, and on whether htmx does."""
    return HTMLResponse(html, status, {"Vary": "HX-Request", "Cache-Control": "no-store"})


def draw(page: str, block: str | None, context: dict[str, Any]) -> str:
    """The HTML of a page or of one block of it, from exactly this context."""
    template: Template = env.get_template(page)
    if block is None:
        return template.render(context)
    parent = {**env.globals, **context}  # as `new_context` does, which goes through the globals one by one
    drawn = template.blocks[block](env.context_class(env, parent, template.name, template.blocks))
    return "".join(drawn)


def redirect(request: Request, address: str, notice: str | None = None, kind: str = "success") -> Response:
    """Go to `address` (of this site) after an action; `notice` is said once on the page that comes next."""
    if "HX-Request" in request.headers:
        response = Response(status_code=204, headers={"HX-Redirect": address})
    else:
        response = RedirectResponse(address, 303)
    if notice:
        said = urlsafe_b64encode(json.dumps([kind, notice]).encode()).decode()
        response.set_cookie(
            NOTICE, said, max_age=120, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
    return response


def wants_part(request: Request) -> bool:
    asked = request.headers
    return "HX-Request" in asked and "HX-Boosted" not in asked and "HX-History-Restore-Request" not in asked


def _shared(request: Request, person: object) -> dict[str, Any]:
    theme, contrast = request.cookies.get("hone_theme"), request.cookies.get("hone_contrast")
    return {
        "request": request,
        "me": person,
        "may": getattr(request.state, "may", _may_nothing),
        "here": request.url.path,
        "project": None,
        "theme": theme if theme in THEMES else "auto",
        "contrast": CONTRASTS.get(contrast or "", "(prefers-contrast: more)"),
        "reader": reader.get(),
        "notices": _said(request),
    }


def _may_nothing(permission: object) -> bool:
    return False


def _said(request: Request) -> list[tuple[str, str]]:
    """The notice that `redirect` left in a cookie; whatever else stands there is ignored."""
    try:
        kind, notice = json.loads(urlsafe_b64decode(request.cookies[NOTICE]))
        return [(str(escape(kind)), str(notice))] if kind in ("info", "success", "warning", "error") else []
    except (KeyError, ValueError, TypeError):
        return []
