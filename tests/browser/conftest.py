"""One Chromium for all tests of a process; each test has contexts of its own."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browser.site import chromium


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser
