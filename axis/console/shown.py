"""How values are shown: times in Vietnam's time, numbers as each language writes them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from axis.console.words import Language
from axis.core.volumes import VIETNAM

__all__ = ["amount", "dated", "day", "duration", "moment", "number", "percent", "plain"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
#: What makes spreadsheets take a text for a formula (OWASP, CSV injection): these, also in their full width,
#: where a cell begins. Some take a semicolon or a tab for its end, whatever the quotes say.
_FORMULA: Final = re.compile(r"(^|[;\t\r\n])(?=[=+\-@＝＋－＠])")
_BLANK: Final = ("\t", "\r", "\n")
_MONTH: Final = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)
_DAY: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_ROMAN: Final = ("I", "II", "III", "IV")


def number(value: int, language: Language) -> str:
    """2.408.320 in Vietnamese, 2,408,320 in English."""
    text = f"{value:,}"
    return text.replace(",", ".") if language == "vi" else text


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula when it opens a CSV file."""
    safe = _FORMULA.sub(r"\1'", text)
    return f"'{safe}" if text.startswith(_BLANK) else safe


def percent(part: int, whole: int, language: Language) -> str:
    """A share with one decimal; a dash where there is no whole."""
    if not whole:
        return "–"
    text = f"{100 * part / whole:.1f}"
    return (text.replace(".", ",") if language == "vi" else text) + " %"


def amount(size: int, language: Language) -> str:
    """An amount of bytes: 1,5 MiB."""
    value, unit = float(size), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    text = f"{value:.1f}" if unit else str(size)
    return f"{text.replace('.', ',') if language == 'vi' else text} {_UNITS[unit]}"


def moment(ms: int, language: Language) -> str:
    """A time to the second: 29/11/2026 13:05:09; in English 2026-11-29 13:05:09, as `dated` has it."""
    return f"{day(ms, language)} {datetime.fromtimestamp(ms / 1000, VIETNAM):%H:%M:%S}"


def day(ms: int, language: Language) -> str:
    """A day: 29/11/2026; in English 2026-11-29."""
    return dated(datetime.fromtimestamp(ms / 1000, VIETNAM).date().isoformat(), language)


def dated(period: str, language: Language) -> str:
    """A period as an address names it, as people write it: 29/11/2026, 11/2026, quý IV/2026, 2026.

    In English as it is, which is ISO 8601's way and unambiguous.
    """
    if language == "en":
        return period
    if found := _DAY.fullmatch(period):
        return f"{found[3]}/{found[2]}/{found[1]}"
    if found := _MONTH.fullmatch(period):
        return f"{found[2]}/{found[1]}"
    if found := _QUARTER.fullmatch(period):
        return f"quý {_ROMAN[int(found[2]) - 1]}/{found[1]}"
    return period


def duration(ms: int, language: Language) -> str:
    """A span in its two largest units: 3 ngày 4 giờ, 3 d 4 h."""
    names = ("ngày", "giờ", "phút", "giây") if language == "vi" else ("d", "h", "min", "s")
    seconds = max(0, ms) // 1000
    values = (seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    parts = [(value, name) for value, name in zip(values, names, strict=True) if value]
    return " ".join(f"{value} {name}" for value, name in parts[:2]) or f"0 {names[-1]}"
