"""Which code this is: one release wherever it is told, and the commit of a checkout."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import version
from app.main import app

COMMIT = "1a2b3c4d5e6f7890"


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where a checkout keeps its commits."""
    (tmp_path / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "HEAD").write_text("ref: refs/heads/main\n")
    monkeypatch.setattr(version, "GIT", tmp_path)
    version.code_version.cache_clear()
    yield tmp_path
    version.code_version.cache_clear()


def test_the_release_is_told_the_same_everywhere() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == version.RELEASE == app.version


def test_a_commit_is_read_from_its_own_file(git: Path) -> None:
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    assert version.code_version() == f"{version.RELEASE}+1a2b3c4d5e6f"


def test_a_commit_is_found_where_refs_are_packed(git: Path) -> None:
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n0000 refs/heads/other\n{COMMIT} refs/heads/main\n")
    assert version.code_version() == f"{version.RELEASE}+1a2b3c4d5e6f"


def test_a_commit_may_stand_alone(git: Path) -> None:
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert version.code_version() == f"{version.RELEASE}+1a2b3c4d5e6f"


def test_outside_a_checkout_it_is_the_release(git: Path) -> None:
    (git / "HEAD").unlink()
    assert version.code_version() == version.RELEASE
