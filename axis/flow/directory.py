"""The register as nodes read it: every unit, and every certificate ever counted with its two places.

A page is a cut through the journal: it holds every change up to `as_of` and nothing of a later one, so a
node that has read up to `as_of` may judge everything the journal holds up to there (design decision 8).
"""

from __future__ import annotations

from typing import Final

from axispb.v1 import api_pb2, facts_pb2

from axis.ports import Journal

__all__ = ["DirectoryPages"]

_PAGE: Final = 500
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
        head = self._journal.head().sequence
        units = self._journal.facts(_UNITS, after, limit)
        certificates = self._journal.facts(_CERTIFICATES, after, limit)
        full = [found[-1][2] for found in (units, certificates) if len(found) >= limit]
        as_of = min(full) if full else max(head, after)
        entries = [
            api_pb2.DirectoryEntry(sequence=sequence, unit=facts_pb2.UnitFact.FromString(value))
            for _, value, sequence in units
            if sequence <= as_of
        ]
        entries += [
            api_pb2.DirectoryEntry(sequence=sequence, certificate=facts_pb2.CertificateFact.FromString(value))
            for _, value, sequence in certificates
            if sequence <= as_of
        ]
        entries.sort(key=lambda entry: entry.sequence)
        return api_pb2.DirectoryPage(entries=entries, as_of=as_of, more=bool(full))
