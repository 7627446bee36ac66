"""What holds for every script of ours, read as text."""

from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "static"


@pytest.mark.parametrize("script", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_scripts_work_on_plain_http_in_a_local_network(script: Path) -> None:
    """Browsers have these only on https and on localhost; elsewhere the page would stop at them."""
    said = script.read_text(encoding="utf-8")
    assert [name for name in ("crypto.randomUUID", "crypto.subtle", "serviceWorker.register") if name in said] == []
