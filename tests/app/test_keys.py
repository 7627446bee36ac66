"""The installation's secret: made once, for one pair of eyes, and never used as it is."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import keys
from app.settings import Settings


def test_starting_several_programs_at_once_makes_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keys.make_secret(path), range(8)))
    assert os.listdir(path.parent) == ["secret"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(rb"[0-9a-f]{64}", path.read_bytes())
    assert keys.read_secret(path) == path.read_bytes()


def test_each_use_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "get_settings", lambda: Settings(secret_key="given"))
    assert keys.key_for("cursors") != keys.key_for("handles")
    assert b"given" not in keys.key_for("cursors")
