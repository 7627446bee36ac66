"""How the statements of the hot path are written down."""

from typing import Any

from sqlalchemy import BigInteger, BindParameter, TextualSelect, bindparam, column, text

PROJECT = bindparam("project", type_=BigInteger)
ME = bindparam("me", type_=BigInteger)


def statement(sql: str, *binds: BindParameter[Any], returns: str) -> TextualSelect:
    """A statement that is asked again and again: what it returns is named beforehand and not worked out each time.

    Its indentation is left out, because the driver remembers what it has parsed only up to 4,096 characters.
    """
    compact = " ".join(line.strip() for line in sql.splitlines())
    return text(compact).bindparams(*binds).columns(*(column(name) for name in returns.split()))
