"""Numbers, shares, sizes and instants as a reader of a certain language and zone writes them."""

import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from app.translation import _, reader

NOTHING = "–"
THIN = "\N{NARROW NO-BREAK SPACE}"
# thousands and decimal signs by language (Unicode CLDR 46, the common ones)
SIGNS = {
    "en": (",", "."),
    "de": (".", ","),
    "es": (".", ","),
    "fr": (THIN, ","),
    "it": (".", ","),
    "nl": (".", ","),
    "pl": (THIN, ","),
    "pt": (".", ","),
    "ru": (THIN, ","),
    "sv": (THIN, ","),
}
MONTHS = (
    *(_("Jan"), _("Feb"), _("Mar"), _("Apr"), _("May"), _("Jun")),
    *(_("Jul"), _("Aug"), _("Sep"), _("Oct"), _("Nov"), _("Dec")),
)


def number(value: float | None, digits: int | None = None) -> str:
    """12,345 for whole numbers; others with `digits` decimals, or as many as make three significant ones."""
    if value is None or value != value:
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "\N{MINUS SIGN}∞"
    if digits is None:
        digits = 0 if value == int(value) else _decimals(value)
    thousands, point = SIGNS.get(reader.get().locale[:2], SIGNS["en"])
    written = f"{value:z,.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return written.replace(",", "\0").replace(".", point).replace("\0", thousands)


def _decimals(value: float) -> int:
    """How many decimals show three significant figures: 0.0123 → 4, 1.5 → 2, 250.4 → 1."""
    size = abs(value)
    if size >= 100:
        return 1
    decimals = 2
    while size < 1 and decimals < 8:
        size *= 10
        decimals += 1
    return decimals


def percent(value: float | None, digits: int = 0) -> str:
    """A share between 0 and 1 as a percentage."""
    return NOTHING if value is None or value != value else f"{number(value * 100, digits)}{THIN}%"


def byte_size(value: float | None) -> str:
    """Bytes in powers of a thousand: 7.9 MB."""
    if value is None:
        return NOTHING
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{number(size, 0 if unit == 'B' or size >= 99.95 else 1)}{THIN}{unit}"


def duration(value: float | timedelta | None) -> str:
    """Seconds (or a timedelta) in its two largest units: 45 s, 3 min 12 s, 2 h 5 min, 3 d 4 h."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if abs(seconds) < 10:
        return f"{number(seconds, 0 if seconds == int(seconds) else 1)}{THIN}s"
    left = round(abs(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{THIN}{unit}" if count else "")
    return ("\N{MINUS SIGN}" if seconds < 0 else "") + " ".join(part for part in parts[:2] if part)


def day(value: date | datetime | None, *, year: bool = True) -> str:
    """21 Nov 2026, in the reader's zone when an instant is given. year: False leaves it out, where it is plain."""
    if value is None:
        return NOTHING
    local = _local(value) if isinstance(value, datetime) else value
    told = {"day": local.day, "month": _(MONTHS[local.month - 1]), "year": local.year}
    return (_("{day} {month} {year}") if year else _("{day} {month}")).format(**told).replace(" ", "\N{NO-BREAK SPACE}")


def instant(value: datetime | None) -> Markup:
    """A `<time>` element: day and minute in the reader's zone, the zone and second on hover, UTC for programs.

    :raises ValueError: a time without a zone, which no column of ours holds.
    """
    if value is None:
        return Markup("{}").format(NOTHING)
    local = _local(value)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ"),
        f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}",
        _("{day}, {time}").format(day=day(value), time=f"{local:%H:%M}"),
    )


def _local(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return value.astimezone(ZoneInfo(reader.get().zone))
