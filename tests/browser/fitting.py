"""Whether a task fits its window: in both themes, on a desk and on a phone, in English and from right to left."""

from playwright.async_api import Page
from sqlalchemy import update

from app import database
from app.accounts.tables import User
from tests.app.mirrored import TAG, speaking_mirrored
from tests.browser.site import Site, armed

# What is outside the window or its own box, unless a box around it scrolls or says that it cuts. A
# window that has just changed is painted first: tables learn there whether they fit (static/tables.js).
OUTSIDE = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const cuts = (one) => one && (getComputedStyle(one).overflowX !== "visible" || cuts(one.parentElement));
  const shown = (one) => one.checkVisibility() && getComputedStyle(one).clipPath === "none" && one.clientWidth > 1;
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const { left, right } = one.getBoundingClientRect();
    return shown(one) && !cuts(one.parentElement) && (left < -1 || right > innerWidth + 1);
  });
  const titled = "button, a.button, label, legend, th, .badge, .point, h1, h2, h3, summary";
  const cut = [...document.querySelectorAll(titled)]
    .filter((one) => shown(one) && one.scrollWidth > one.clientWidth + 1);
  const name = (one) => `${one.tagName}.${one.getAttribute("class")}: ${one.textContent.trim().slice(0, 60)}`;
  const { scrollWidth } = document.documentElement;
  const whole = scrollWidth > innerWidth ? [`the page is ${scrollWidth} px wide`] : [];
  return [...whole, ...[...wide, ...cut].map(name)].slice(0, 8);
}"""


async def speaks(site: Site, language: str) -> None:
    async with database.transaction() as session:
        person = update(User).where(User.id == site.there.me.person.id)
        await session.execute(person.values(locale=language, is_admin=True))


async def fits(site: Site, page: Page) -> None:
    """The task that is on the screen; it is loaded anew in each language."""
    with speaking_mirrored():
        for language in ("en", TAG):
            await speaks(site, language)
            await page.reload()
            await armed(page)
            for width, height in ((390, 844), (1280, 800)):
                await page.set_viewport_size({"width": width, "height": height})
                for theme in ("light", "dark"):
                    await page.emulate_media(color_scheme=theme)
                    await fits_window(page, width, height)
        await speaks(site, "en")


async def fits_window(page: Page, width: int, height: int) -> None:
    assert await page.evaluate(OUTSIDE) == [], f"at {width} px"
    bar = await page.locator("[data-choices]").bounding_box()
    bar = bar or await page.locator("[data-choices] > .beside").bounding_box()  # a text has no bar but its last row
    assert bar
    assert bar["y"] + bar["height"] <= height + 1
    assert bar["height"] <= height * 0.5
