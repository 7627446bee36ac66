"""What is installed beyond the web: the extras, and the pip commands that bring them."""

import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
NEEDED = {
    "train": ("torch", "transformers", "tokenizers", "safetensors", "numpy"),
    "test": ("pytest", "hypothesis", "playwright", "aiohttp", "trl", "yaml", "openai"),
}


def missing(extra: str) -> list[str]:
    """The packages of an extra that cannot be found; looks only, imports none."""
    importlib.invalidate_caches()  # pip may have just brought them
    return [name for name in NEEDED[extra] if find_spec(name) is None]


def install_commands(extra: str) -> list[list[str]]:
    """pip's words for an extra, in order: torch first and alone, so that TORCH_INDEX decides about it and no other.

    Needs the checkout: the pinned versions are in its constraints.txt.
    """
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-build-isolation"]
    pinned = ["--constraint", str(ROOT / "constraints.txt")]
    index = os.environ.get("TORCH_INDEX", "")
    alone = ["--no-deps", "--index-url", index] if index else pinned
    return [[*pip, *alone, TORCH], [*pip, *pinned, "--editable", f"{ROOT}[{extra}]"]]
