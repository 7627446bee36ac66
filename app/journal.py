"""One line an event, whatever somebody has called themselves; secrets are blotted out before anything is written.

JSON where a program reads (files, pipes), plain words at a terminal. Both escape control characters, so that no text
from outside can begin a line of its own.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

# API tokens, one-time links, bearer headers, and passwords in addresses of databases and mail servers.
SECRETS = (
    (re.compile(r"hone_[0-9A-Za-z_-]{8,}"), "hone_…"),
    (re.compile(r"(/(?:sign-in|invitations|reset)/)[\w-]{20,}"), r"\1…"),
    (re.compile(r"(?i)(bearer )\S+"), r"\1…"),
    (re.compile(r"(hone_session=)[\w-]+"), r"\1…"),
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+(@)"), r"\1…\2"),
)
ALSO_SHOWN = ("request",)  # extras that log calls may give


def without_secrets(text: str) -> str:
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def on_one_line(text: str) -> str:
    """Control characters and line separators as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class JsonLines(logging.Formatter):
    """{"at", "level", "logger", "message", "request"?, "error"?}, one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        told |= {name: getattr(record, name) for name in ALSO_SHOWN if getattr(record, name, None)}
        if record.exc_info:
            told["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(told, default=str)


class PlainLines(logging.Formatter):
    """Time, level, place and message; an error's traceback follows, each of its lines set in."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        more = "".join(f" {name}={getattr(record, name)}" for name in ALSO_SHOWN if getattr(record, name, None))
        message = without_secrets(f"{record.getMessage()}{more}")
        line = f"{at} {record.levelname.lower()} {record.name}: {on_one_line(message)}"
        if record.exc_info:
            trace = without_secrets(self.formatException(record.exc_info)).splitlines()
            line += "".join(f"\n    {on_one_line(part)}" for part in trace)
        return line


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send the program's log to `stream` (stderr), once; called again it only changes level and stream."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines() if stream.isatty() else JsonLines())
    handler.set_name("hone")
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.get_name() != "hone"] + [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "procrastinate", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
