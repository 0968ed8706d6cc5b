"""Large numbers as people type them: `30M` parameters, `1.5B` tokens, `1e18` operations.

`parse_amount` reads one and `short_amount` writes one. Neither knows what is counted.
"""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:e\+?(\d{1,2}))?([kmbgt]?)", flags=re.IGNORECASE)


def parse_amount(text: str) -> int | None:
    """Read a whole number, plain (`30000000`, `30_000_000`), with a power (`3e7`) or a unit (`30M`).

    k is a thousand, M a million, B or G a billion, T a trillion. None: it is no such number.
    """
    found = _AMOUNT.fullmatch(text.strip().replace("_", ""))
    if found is None:
        return None
    digits, power, unit = found.groups()
    number = Decimal(digits).scaleb(int(power or 0) + _UNITS[unit.lower()])
    return int(number) if number == int(number) else None


def short_amount(number: float) -> str:
    """Write a number with three figures and the unit that suits it: `30M`, `1.25B`, `850`."""
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        # From where three figures would round up to the next unit.
        if number >= 0.9995 * 10**power:
            return f"{float(f'{number / 10**power:.3g}'):g}{unit}"
    return f"{float(f'{number:.3g}'):g}"
