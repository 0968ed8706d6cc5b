"""Values as a reader wants to see them: counts, sizes, times, dates, and text with nothing unseen in it.

The report page calls these for every figure it prints. Each takes whatever a run folder may hold, also
nothing or a NaN, and then gives a dash: a page about a run that went wrong must still open. Nothing
here knows of runs or of HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

ABSENT = "—"
Item = TypeVar("Item")

# What a page would swallow: control characters but tab and newline, invisible and direction-turning
# ones, and lone surrogates, which no UTF-8 file can hold.
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)


def finite(value: object) -> float | None:
    """Return the value as a float when it is a number below 1e100 in size, else None; a NaN is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e100 else None


def at(data: object, *keys: str) -> Any:
    """Return what lies under nested keys, or None where the way ends early."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def rows(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; anything else is an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: object, digits: int = 2) -> str:
    """Return a number with a fixed count of decimals and commas between thousands."""
    known = finite(value)
    return ABSENT if known is None else f"{known:,.{digits}f}"


def count(value: object) -> str:
    """Return a count: `12,345` in full below a million, `5.24 million` above."""
    known = finite(value)
    if known is None:
        return ABSENT
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(known) >= unit:
            return f"{_three_figures(known / unit)} {name}"
    return f"{known:,.0f}"


def size(value: object) -> str:
    """Return a number of bytes in decimal units: `812 bytes`, `3.20 kB`, `41.3 MB`."""
    known = finite(value)
    if known is None:
        return ABSENT
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(known) >= unit:
            return f"{_three_figures(known / unit)} {name}"
    return f"{known:.0f} bytes"


def duration(value: object) -> str:
    """Return a time in seconds as its two largest units: `4.2 s`, `6 min 12 s`, `2 h 05 min`."""
    known = finite(value)
    if known is None:
        return ABSENT
    if known < 9.95:
        return f"{known:.1f} s"
    minutes, seconds = divmod(round(known), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def date(value: object) -> str:
    """Return an ISO 8601 time as `7 March 2026, 14:02`; text that is none comes back as it is."""
    if not isinstance(value, str):
        return ABSENT
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    zone = f" {time.tzname()}" if time.tzinfo else ""
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def visible(text: str) -> str:
    r"""Return text whose every character can be seen: the unseen ones as in Python, `\x1b` or `\u202e`."""
    return _UNSEEN.sub(lambda match: _escape(ord(match[0])), text)


def quoted(token: bytes) -> str:
    """Return a token as text in quotes, where every character can be seen; bytes that are not text in hex."""
    try:
        return repr(token.decode("utf-8"))
    except UnicodeDecodeError:
        return token.hex(" ")


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[:limit].rstrip() + " …"


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at most `limit` items from first to last, denser at the start, where most is learned."""
    if len(items) <= limit:
        return list(items)
    last = len(items) - 1
    places = {round(last * (i / (limit - 1)) ** 1.5) for i in range(limit)}
    return [items[place] for place in sorted(places)]


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _three_figures(value: float) -> str:
    size = abs(value)
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:,.0f}"
