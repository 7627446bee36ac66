"""`hone doctor`: what is set and from where, and whether this machine has what Hone needs."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from app import cluster, embedded, extras
from app.migrating import plain_url, server_version
from app.settings import Settings
from app.translation import _
from app.unprivileged import CannotStart

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed` findings that are not well make the doctor's exit status 1."""

    about: str
    well: bool
    sentence: str
    needed: bool = True


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, quickest first; none changes anything but a file made and removed in the home folder."""
    yield _home(settings.home)
    yield _port("HONE_PORT", settings.host, settings.port)
    yield _port("HONE_SAMPLER_PORT", "127.0.0.1", settings.sampler_port)
    yield from _sampler(settings.sampler_port)
    yield from _postgres(settings)
    yield from _extras()
    yield _browser()


def _home(home: Path) -> Finding:
    about, home = _("home folder"), home.resolve()
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=home):
            free = shutil.disk_usage(home).free / 1e9
    except OSError as error:
        return Finding(
            about, False, _("{home} cannot be written to: {reason}").format(home=home, reason=error.strerror)
        )
    return Finding(about, True, _("{home}, {free:.1f} GB free").format(home=home, free=free))


def _port(name: str, host: str, port: int) -> Finding:
    """A port in use is no fault: Hone itself may be running."""
    try:
        with socket.create_connection((host, port), timeout=1):
            sentence = _("{host}:{port} is in use: by Hone, if it runs").format(host=host, port=port)
            return Finding(name, False, sentence, needed=False)
    except OSError:
        return Finding(name, True, _("{host}:{port} is free").format(host=host, port=port))


def _sampler(port: int) -> Iterator[Finding]:
    """What a running sampler measures of itself; nothing where none answers."""
    try:
        with httpx.Client(timeout=1, trust_env=False) as client:
            told = client.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
        lines = (line.rsplit(" ", 1) for line in told.splitlines() if line.startswith("hone_sampler_"))
        figures = {name.removeprefix("hone_sampler_"): float(value) for name, value in lines}
        begun = figures["time_to_first_token_seconds_count"]
        first = figures["time_to_first_token_seconds_sum"] / begun if begun else 0.0
        sentence = _("{waiting:.0f} waiting, {speed:.0f} tokens a second, {first:.1f} s to the first token").format(
            waiting=figures["waiting"], speed=figures["tokens_per_second"], first=first
        )
    except (httpx.HTTPError, ValueError, KeyError):
        return
    yield Finding(_("sampler"), True, sentence)


def _postgres(settings: Settings) -> Iterator[Finding]:
    about = _("Postgres")
    try:
        if settings.database_url:
            url = settings.database_url.get_secret_value()
        elif found := embedded.running(settings.home):
            url = found.url
        else:
            sentence = _("the embedded one is not running; `make run` starts it from {folder}")
            yield Finding(about, True, sentence.format(folder=cluster.programs()))
            return
        version = server_version(url)
    except CannotStart as error:
        yield Finding(about, False, str(error))
        return
    yield Finding(about, True, _("version {major}.{minor}").format(major=version // 10000, minor=version % 10000))
    yield _durability(url)


def _durability(url: str) -> Finding:
    with psycopg.connect(plain_url(url), connect_timeout=5) as connection:
        names = list(SAFE)
        rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names]).fetchall()
    loose = sorted(f"{name} = {setting}" for name, setting in rows if setting != SAFE[name])
    if loose:
        sentence = _("{settings}: answers can be lost when the machine stops").format(settings=", ".join(loose))
        return Finding(_("durability"), False, sentence)
    return Finding(_("durability"), True, _("{settings} are on").format(settings=", ".join(SAFE)))


def _extras() -> Iterator[Finding]:
    for extra in extras.NEEDED:
        absent = extras.missing(extra)
        sentence = _("missing: {names}").format(names=", ".join(absent)) if absent else _("installed")
        yield Finding(_("extra [{extra}]").format(extra=extra), not absent, sentence, needed=False)


def _browser(find: Callable[[str], str | None] = shutil.which) -> Finding:
    found = next((path for name in BROWSERS if (path := find(name))), None)
    sentence = found or _("none found; `make test` installs it, or: apt install chromium")
    return Finding(_("Chromium for tests"), found is not None, sentence, needed=False)
