"""docker-compose.yml and the Dockerfile cannot be run here, so what they say is held against what the code has."""

import argparse
import json
import re
from pathlib import Path

import pytest
import typer
import yaml

from app import cli, settings
from workers import __main__ as workers_main

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PARTS = COMPOSE["services"]
OURS = {name: part for name, part in PARTS.items() if name != "postgres"}


def hone_commands() -> set[str]:
    return set(typer.main.get_command(cli.app).commands)


def worker_names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What `python -m workers` takes, from its own parser."""
    seen: set[str] = set()

    def note(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        seen.update(*(action.choices for action in parser._actions if action.choices))
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(argparse.ArgumentParser, "parse_args", note)
        workers_main.main()
    return seen


def check_command(words: list[str], workers: set[str]) -> None:
    if words[0] == "hone":
        assert words[1] in hone_commands(), words
    elif words[:3] == ["python", "-m", "workers"]:
        assert words[3:] in [[name] for name in workers], words
    else:
        assert words[:2] == ["python", "-c"], words
        compile(words[2], "healthcheck", "exec")


def test_every_command_is_one_that_the_programs_have(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = worker_names(monkeypatch)
    assert workers == {"sample", "train", "tidy"}
    for part in OURS.values():
        check_command(part["command"], workers)
        if "healthcheck" in part:
            check_command(part["healthcheck"]["test"][1:], workers)


def test_all_parts_are_there_and_wait_for_the_schema() -> None:
    assert set(PARTS) == {"postgres", "migrate", "web", "sampler", "trainer", "tidy", "sampler-gpu", "trainer-gpu"}
    assert PARTS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in set(OURS) - {"migrate"}:
        assert PARTS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert PARTS[name]["healthcheck"]["test"][0] == "CMD"


def test_the_gpu_profile_asks_for_devices_and_lets_hone_choose() -> None:
    for name in ("sampler-gpu", "trainer-gpu"):
        part = PARTS[name]
        assert part["profiles"] == ["gpu"]
        assert part["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
        assert part["environment"]["HONE_DEVICE"] == "auto"
        assert part["command"] == PARTS[name.removesuffix("-gpu")]["command"]
    assert not any("profiles" in part for name, part in PARTS.items() if not name.endswith("-gpu"))


def test_the_variables_are_settings_and_the_ports_their_defaults() -> None:
    known = {source.name for source in settings.sources(settings.Settings(_env_file=None))}
    for part in OURS.values():
        assert set(part["environment"]) <= known
    fields = settings.Settings.model_fields
    assert str(fields["port"].default) in PARTS["web"]["healthcheck"]["test"][-1]
    assert str(fields["sampler_port"].default) in PARTS["sampler"]["healthcheck"]["test"][-1]


def test_no_password_stands_in_the_file() -> None:
    for part in PARTS.values():
        for name, value in part["environment"].items():
            if "PASSWORD" in name or "URL" in name:
                assert re.search(r"\$\{HONE_\w+:[?-]", value)


def test_the_image_starts_with_a_command_of_hone_and_copies_what_it_runs() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last = next(line for line in reversed(lines) if line.startswith("CMD"))
    assert json.loads(last.removeprefix("CMD "))[1] in hone_commands()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert {"app", "workers", "migrations", "templates", "static"} <= set(copied)
    assert all((ROOT / word).exists() for word in copied)
