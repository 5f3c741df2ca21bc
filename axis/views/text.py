"""Text and time as people type and read them: folding for search, RFC 3339."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Final

from axis.core.volumes import VIETNAM

__all__ = ["fold", "parse_time", "rfc3339", "words_of"]

_MARKS: Final = re.compile("[\u0300-\u036f]+")
_WORD: Final = re.compile(r"[^\W_]+")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: With seconds and an offset as RFC 3339 has it, or Vietnam's time to the minute or finer.
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    re.ASCII,
)
#: The last whole second of the year 9999 in Vietnam's time, in milliseconds.
_LATEST: Final = 253_402_275_599_000


def fold(text: str) -> str:
    """Lower case without Vietnamese or other marks: `Quyết định` → `quyet dinh`, `Đường` → `duong`."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return _MARKS.sub("", decomposed).replace("đ", "d")


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in order: runs of letters and digits."""
    return _WORD.findall(fold(text))


def rfc3339(ms: int) -> str:
    """A time in RFC 3339 with Vietnam's offset, to the millisecond; the last that it can say for a later one.

    Signed times go up to the end of UTC's year 9999, which is a year later here.
    """
    return datetime.fromtimestamp(min(ms, _LATEST) / 1000, VIETNAM).isoformat(timespec="milliseconds")


def parse_time(text: str, *, end: bool = False) -> int:
    """Milliseconds for an RFC 3339 time or a date; without an offset Vietnam's is meant.

    `end` makes a mere date mean its last millisecond. Raises ValueError, also for other forms of ISO 8601,
    which `datetime` would take.
    """
    given, text, date = text, text.upper(), _DATE.fullmatch(text) is not None
    if not date and not _TIME.fullmatch(text):
        raise ValueError(
            f"{given[:40]!r}: a date (2026-11-29) or a time (2026-11-29T13:05, RFC 3339) is expected"
        )
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=VIETNAM)
    whole_day = timedelta(days=1, milliseconds=-1) if end and date else timedelta()
    return round((moment + whole_day).timestamp() * 1000)
