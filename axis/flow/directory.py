"""The register as nodes read it: every unit, and every certificate ever counted with its two places.

A page holds every change up to `as_of`, so a node that has read up to `as_of` may judge everything the
journal holds up to there (design decision 8). It may hold later changes too: one of those can hide an
earlier change of the same unit or certificate.
"""

from __future__ import annotations

from typing import Final

from axispb.v1 import api_pb2

from axis.core.directory import directory_page
from axis.ports import Journal

__all__ = ["DirectoryPages"]

#: About 400 KiB, 20 ms of the axis and of the node: neither keeps others waiting for longer.
_PAGE: Final = 2000
_UNITS: Final = "unit/"
_CERTIFICATES: Final = "certificate/"


class DirectoryPages:
    """Pages of the directory, and the place of its newest change."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._checked = 0
        self._newest = 0

    def newest(self) -> int:
        """The sequence of the directory's newest change. Looks into the journal once a head."""
        head = self._journal.head().sequence
        if head > self._checked:
            for prefix in (_UNITS, _CERTIFICATES):
                after = self._checked
                while changed := self._journal.facts(prefix, after, _PAGE):
                    after = changed[-1][2]
                    self._newest = max(self._newest, after)
            self._checked = head
        return self._newest

    def page(self, after: int, limit: int = _PAGE) -> api_pb2.DirectoryPage:
        """What changed after a sequence, in order; each entry as it stands now."""
        head = self._journal.head().sequence  # before the listings: what they hold beyond it stays in
        units = self._journal.facts(_UNITS, after, limit)
        certificates = self._journal.facts(_CERTIFICATES, after, limit)
        return directory_page(
            units, certificates, limit=limit, head=max(head, after), time_of=self._journal.time_of
        )
