"""Why nothing waits: each cause is a sentence on the page, whatever it knows."""

from types import SimpleNamespace

import pytest
from markupsafe import Markup

from app.annotations.emptiness import Cause, Why
from app.pages import draw
from app.translation import LANGUAGES, reading


def page_of(why: Why) -> str:
    consent = SimpleNamespace(html=Markup("<p>The text</p>"), version=2)
    rules = SimpleNamespace(html=Markup("<p>The rules</p>"), version=3, pieces=[])
    beside = {"base": "/projects/1", "most": 5, "consent": consent, "entrance": None, "reading": rules}
    return draw("annotations/_waiting.html", None, {"why": why} | beside)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_told(cause: Cause, language: str) -> None:
    with reading(language):
        for minutes in (None, 1, 4):
            assert len(page_of(Why(cause, coming=1200, minutes=minutes, has_sensitive=True))) > 100


def test_answers_on_their_way_are_told_with_their_number_and_how_long_they_take() -> None:
    assert "On their way are 1,200 more, in about 4 minutes." in page_of(Why(Cause.coming, coming=1200, minutes=4))
    assert "On their way are 1 more, in about 1 minute." in page_of(Why(Cause.coming, coming=1, minutes=1))
    assert "how long that takes is not known yet" in page_of(Why(Cause.coming, coming=3))
