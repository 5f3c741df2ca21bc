"""Whom a system acts for: its organisations, and every unit that stands below one of them."""

from __future__ import annotations

from collections.abc import Iterable

from axis.core.directory import Directory
from axis.core.organisation import MAX_LEVELS

__all__ = ["Scope"]


class Scope:
    """The units of some organisations. Holds for one moment of the directory."""

    def __init__(self, directory: Directory, organisations: Iterable[str]) -> None:
        self._directory = directory
        self._organisations = frozenset(directory.resolve(code) or code for code in organisations)
        self._seen: dict[str, bool] = {}

    def has(self, any_code: str) -> bool:
        """Whether a unit, by any of its codes, is one of them."""
        code = self._directory.resolve(any_code)
        if code is None:
            return any_code in self._organisations
        if code not in self._seen:
            self._seen[code] = self._climbs(code)
        return self._seen[code]

    def _climbs(self, code: str) -> bool:
        for _ in range(MAX_LEVELS):
            if code in self._organisations:
                return True
            unit = self._directory.unit(code)
            if unit is None or not unit.parent:
                return False
            code = unit.parent
        return False
