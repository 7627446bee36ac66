"""Settings come from the environment and `.env`, are told apart by their source, and never show a secret."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.serving import config_of
from app.settings import Settings, address_of, in_words, sources, unknown_names


async def no_application(*_given: Any) -> None:
    """Stands behind the middleware that is asked about."""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, and a folder without a `.env`."""
    for name in list(os.environ):
        if name.upper().startswith("HONE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def origins() -> dict[str, tuple[str, str]]:
    return {source.name: (source.value, source.origin) for source in sources(Settings())}


def test_each_setting_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("HONE_PORT=9001\nHONE_HOST=10.0.0.1\n")
    monkeypatch.setenv("HONE_PORT", "9002")
    shown = origins()
    assert shown["HONE_PORT"] == ("9002", "environment")
    assert shown["HONE_HOST"] == ("10.0.0.1", ".env")
    assert shown["HONE_WEB_PROCESSES"] == ("2", "default")


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HONE_DATABASE_URL", "HONE_SECRET_KEY", "HONE_SMTP_URL"):
        monkeypatch.setenv(name, "postgresql://hone:correct-horse@db/hone")
    shown = origins()
    assert "horse" not in str(shown)
    assert shown["HONE_DATABASE_URL"] == ("**********", "environment")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_DATABASE_URL", "")
    monkeypatch.setenv("HONE_PORT", "")
    assert Settings().database_url is None
    assert origins()["HONE_PORT"] == ("8765", "default")


def test_a_misspelt_setting_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_PROT", "9001")
    Path(".env").write_text("HONE_HOMME=/x\n")
    assert unknown_names() == ["HONE_HOMME", "HONE_PROT"]


def test_a_bad_value_is_a_sentence_that_names_the_setting_and_hides_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_PORT", "correct-horse")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert in_words(caught.value).startswith("HONE_PORT: ")
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize("given", ["127.0.0.1,::1", "10.0.0.0/8, 192.0.2.7", "fd00::/8"])
def test_the_web_server_believes_the_proxies_that_are_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HONE_TRUSTED_PROXIES", given)
    told = config_of(Settings(), "app.main:app")
    assert (told.forwarded_allow_ips, told.proxy_headers) == (given, True)
    proxies = ProxyHeadersMiddleware(no_application, told.forwarded_allow_ips).trusted_hosts
    assert all(part.strip().partition("/")[0] in proxies for part in given.split(","))
    assert "203.0.113.1" not in proxies


@pytest.mark.parametrize("given", ["*", "proxy.example.org", "10.0.0.1/8", "127.0.0.1,"])
def test_proxies_that_are_not_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HONE_TRUSTED_PROXIES", given)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert in_words(caught.value).startswith("HONE_TRUSTED_PROXIES: ")


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:81"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:81"),
        ({"host": "fd00::1"}, "http://[fd00::1]:81"),
        ({"public_url": "https://hone.example/"}, "https://hone.example"),
    ],
)
def test_the_address_is_one_that_people_can_type(settings: dict[str, str], address: str) -> None:
    assert address_of(Settings(_env_file=None, **settings), 81) == address  # type: ignore[arg-type]


def test_a_link_for_the_browser_that_asks_leads_where_it_came_from_unless_there_is_a_public_address() -> None:
    reached = "http://10.1.2.3:81/"
    assert address_of(Settings(host="0.0.0.0"), reached=reached) == "http://10.1.2.3:81"
    public = Settings.model_validate({"public_url": "https://hone.example/"})
    assert address_of(public, reached=reached) == "https://hone.example"
