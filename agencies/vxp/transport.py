"""Transport statuses of the API, and their words."""

from __future__ import annotations

from typing import Final

__all__ = ["DONE", "FAIL", "INITIAL", "PROCESSING", "description"]

INITIAL: Final = "initial"
PROCESSING: Final = "processing"
DONE: Final = "done"
FAIL: Final = "fail"

_WORDS: Final = {
    INITIAL: "Chờ xử lý",
    PROCESSING: "Đang xử lý",
    DONE: "Thành công",
    FAIL: "Thất bại",
}


def description(status: str, reason: str = "") -> str:
    """A status in Vietnamese, with the reason where there is one."""
    return f"{_WORDS[status]}: {reason}" if reason else _WORDS[status]
