"""No page has a serious or critical finding of axe (WCAG 2.2 AA), in the light, dark and high-contrast theme."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from sqlalchemy import select

from app import database
from app.accounts.permissions import Role
from app.accounts.tables import User
from tests import make
from tests.app.route_table import EXAMPLES, PLAIN, ROUTES
from tests.app.test_route_matrix import parameters
from tests.browser.site import Site, a_site, moved, with_late_scripts
from tests.journeys.test_kinds import PROTOCOLS

pytestmark = [pytest.mark.browser, pytest.mark.committed]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
GRAVE = ("serious", "critical")
THEME = """
([theme, high]) => {
  document.documentElement.dataset.theme = theme;
  document.querySelector("link[data-contrast]").media = high ? "all" : "not all";
}
"""
PAGES = sorted(name for name in ROUTES if name.startswith("GET /") and "/api/" not in name and name[4:] not in PLAIN)
PARTS = 4


async def findings(page: Page) -> list[str]:
    """What axe finds grave: everything in the light theme, and colours again in the others."""
    found = []
    for theme, asked in (("light", RULES), ("dark", COLOURS), ("light high", COLOURS), ("dark high", COLOURS)):
        await page.evaluate(THEME, theme.split())
        said = await page.evaluate("(asked) => axe.run(document, { ...asked, resultTypes: ['violations'] })", asked)
        for one in said["violations"]:
            places = [node["html"][:160] for node in one["nodes"]][:3]
            found += [f"{theme}: {one['id']}: {place}" for place in places if one["impact"] in GRAVE]
    return found


async def opened(site: Site) -> Page:
    page = await site.context.new_page()
    await page.emulate_media(reduced_motion="reduce")  # a colour on its way from theme to theme is no finding
    await page.add_init_script(AXE)
    return page


async def an_example_of_each(site: Site) -> dict[str, str]:
    """A row for each parameter of an address, in the site's project; the browser's person may see all of them."""
    async with database.transaction() as session:
        me = (await session.scalars(select(User).where(User.id == site.there.me.person.id))).one()
        me.is_admin = True
        await make.member(session, site.there.project, await make.user(session), Role.manager)
        return {name: await example(session, site.there.project, me) for name, example in EXAMPLES.items()}


@pytest.mark.parametrize("part", range(PARTS))
async def test_no_page_has_a_grave_finding(committed: str, browser: Browser, part: int) -> None:
    found: dict[str, list[str]] = {}
    async with a_site(browser, made_up=True) as site:
        rows = await an_example_of_each(site)
        page = await opened(site)
        for name in PAGES[part::PARTS]:
            address = name[4:].format(**{parameter: rows[parameter] for parameter in parameters(name)})
            if await is_page(page, site.address + address) and (grave := await findings(page)):
                found[name] = grave
        await page.close()
    assert found == {}, "\n".join(f"{name}: {one}" for name, grave in found.items() for one in grave)


async def is_page(page: Page, address: str) -> bool:
    """Go there; whether it is a whole page of ours and no file."""
    answer = await page.request.get(address, max_redirects=0)
    if "text/html" not in answer.headers.get("content-type", "") or "<html" not in await answer.text():
        return False
    await page.goto(address)
    return True


@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_no_kind_of_judgement_has_a_grave_finding(committed: str, browser: Browser, kind: str) -> None:
    shows, said = PROTOCOLS[kind]
    async with a_site(browser, shows=shows, protocol=whole(said)) as site:
        page = await opened(site)
        await with_late_scripts(page)
        await page.goto(site.page_address)
        assert await moved(page) == []  # between the first paint and the page with its scripts
        assert await findings(page) == []
        await page.close()


def whole(said: dict[str, Any]) -> dict[str, Any]:
    from app.projects.protocols import protocol_of

    return protocol_of(said).as_json()
