"""Static files under an address that changes with their contents, so that browsers may keep them for ever."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).resolve().parent.parent / "static"
FOREVER = "public, max-age=31536000, immutable"


@cache
def digest() -> str:
    """One hash over names and bytes of every file, so that modules importing each other stay of one age."""
    whole = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(FOLDER)}\0{path.stat().st_size}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


@cache
def static(path: str) -> str:
    """The address of a file below static/; a name that is not there fails when the page is drawn, not in the browser.

    :raises FileNotFoundError: no such file.
    """
    if not (FOLDER / path).is_file():
        raise FileNotFoundError(f"static/{path}")
    return f"/static/{digest()}/{path}"


class StaticAssets(StaticFiles):
    """Mount at /static: `/static/<digest>/app.css` is kept for ever, any other digest is asked for again."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        age, _, name = path.replace("\\", "/").partition("/")
        if not name:
            raise HTTPException(404)
        response = await super().get_response(name, scope)
        response.headers["Cache-Control"] = FOREVER if age == digest() else "no-cache"
        return response
