"""A kept file as an answer: by its own type, never run as anything, in ranges where a player asks for them."""

from fastapi.responses import FileResponse

from app.errors import NotFound
from app.media.files import kept_at
from app.media.tables import Medium

HEADERS = {
    # its address names its content, which therefore never changes; private: only people of the project may keep it
    "Cache-Control": "private, max-age=31536000, immutable",
    # should it be opened alone: nothing in it runs, loads or frames anything
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; sandbox",
    "Content-Disposition": "inline",
}


def file_answer(medium: Medium) -> FileResponse:
    """:raises NotFound: the row is there and the file is not."""
    path = kept_at(medium.sha256 or "")
    if not path.is_file():
        raise NotFound
    headers = HEADERS | {"ETag": f'"{medium.sha256}"'}
    return FileResponse(path, media_type=medium.media_type, headers=headers)
