"""`hone …` as people type it: what goes wrong is one sentence and exit status 1, never a stack trace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import cli, doctor, extras, migrating
from app.settings import Settings
from app.unprivileged import CannotStart
from tests.conftest import address, administer, copy_of

ROOT = Path(__file__).parents[2]


def hone(*words: str, **told: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *words], cwd=ROOT, env=os.environ | told,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refusal(child: "subprocess.Popen[str]") -> str:
    """The one line it ended with."""
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1, said
    assert len(said.splitlines()) == 1, said
    return said


@pytest.fixture
def database(server: str, template: str) -> Iterator[str]:
    name = copy_of(server, template)
    yield address(server, name)
    administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def empty_database(server: str) -> Iterator[str]:
    name = f"empty_{os.getpid()}"
    administer(server, f"CREATE DATABASE {name}")
    yield address(server, name)
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def test_two_upgrades_at_once_take_turns(empty_database: str) -> None:
    both = [hone("migrate", HONE_DATABASE_URL=empty_database) for _ in range(2)]
    said = [child.communicate(timeout=120) for child in both]
    assert [child.returncode for child in both] == [0, 0], said


def test_a_database_of_a_newer_hone_is_left_alone(database: str, server: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    newer = address(server, name).replace("postgresql+psycopg", "postgresql")
    with migrating.psycopg.connect(newer, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "made by a newer Hone" in refusal(hone("migrate", HONE_DATABASE_URL=database))


def test_a_server_that_does_not_answer_is_named_by_its_setting_without_the_password() -> None:
    said = refusal(hone("migrate", HONE_DATABASE_URL="postgresql://hone:correct-horse@127.0.0.1:1/hone"))
    assert "HONE_DATABASE_URL" in said
    assert "horse" not in said


def test_a_server_that_is_too_old_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "OLDEST", 9_999_999)
    with pytest.raises(CannotStart, match="Hone needs 15 to 18"):
        migrating.migrate(database)


def test_a_bad_setting_is_a_sentence() -> None:
    assert refusal(hone("doctor", HONE_PORT="many")).startswith("HONE_PORT: ")


def test_the_sign_in_link_is_printed_alone(database: str) -> None:
    child = hone("sign-in-link", HONE_DATABASE_URL=database, HONE_PORT="8701", HONE_PUBLIC_URL="")
    said, complained = child.communicate(timeout=60)
    assert child.returncode == 0, complained
    assert said.startswith("http://127.0.0.1:8701/sign-in/")
    assert len(said.splitlines()) == 1


def test_a_command_that_needs_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "missing", lambda _extra: ["torch"])
    with pytest.raises(CannotStart, match=r"This needs torch: pip install 'hone\[train\]'"):
        cli.sample()


def test_the_doctor_finds_a_loose_server_and_a_closed_home(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(_env_file=None, database_url=database, home=tmp_path / "file" / "home", port=0)  # type: ignore[arg-type]
    monkeypatch.setitem(doctor.SAFE, "fsync", "extra safe")
    found = {finding.about: finding for finding in doctor.examine(settings)}
    assert not found["home folder"].well
    assert not found["durability"].well
    assert "fsync" in found["durability"].sentence
    assert found["Postgres"].well
    assert found["extra [test]"].well


def test_the_doctor_tells_how_busy_a_running_sampler_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = """# TYPE hone_sampler_waiting gauge
hone_sampler_waiting 3
hone_sampler_tokens_per_second 812.4
hone_sampler_time_to_first_token_seconds_sum 4.5
hone_sampler_time_to_first_token_seconds_count 3
"""
    answers = [httpx.Response(200, text=told), httpx.Response(200, text="a page of something else")]
    asked = httpx.MockTransport(lambda request: answers.pop(0))
    plain = httpx.Client
    monkeypatch.setattr(doctor.httpx, "Client", lambda **options: plain(transport=asked))
    assert [finding.sentence for finding in doctor._sampler(1)] == [
        "3 waiting, 812 tokens a second, 1.5 s to the first token"
    ]
    assert list(doctor._sampler(1)) == []
