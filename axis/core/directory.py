"""The directory: who is registered, who hosts whom, and every certificate that ever counted.

An agency's node keeps a `Directory` built from the axis's entries and judges with it; the axis makes the
pages. Certificates carry the sequences of their issuance and revocation, so that an envelope is judged at
its own place in the journal, whenever it is judged. A node judges an item only with a directory at least as
new as the item (`as_of`).

An entry replaces what was known of the same unit or certificate; nothing is ever removed.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from axispb.v1 import api_pb2, facts_pb2

from axis.core.lookup import nearest_host

__all__ = ["Directory", "directory_page", "fold"]

_UNIT: Final = "unit/"

#: A fact as a journal lists it: key, value, sequence of the record that last changed it.
_Listed = tuple[str, bytes, int]


def fold(text: str) -> str:
    """Text for comparing without accents or case: `Bộ Công Thương`, `đ` → `bo cong thuong`, `d`."""
    decomposed = unicodedata.normalize("NFD", text.casefold()).replace("đ", "d")
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def directory_page(
    units: Sequence[_Listed], certificates: Sequence[_Listed], *, limit: int, head: int
) -> api_pb2.DirectoryPage:
    """One page of what changed, from two listings that were each asked for with `limit`.

    `head` is the journal's sequence, read *before* the listings: they hold at least what it holds. What
    they hold beyond stays in, since a change may hide the earlier one of the same unit or certificate.
    """
    ends = [listing[-1][2] for listing in (units, certificates) if len(listing) >= limit]
    as_of = min([head, *ends])
    page = api_pb2.DirectoryPage(as_of=as_of, more=as_of < head)
    for key, value, sequence in sorted((*units, *certificates), key=lambda listed: (listed[2], listed[0])):
        entry = page.entries.add(sequence=sequence)
        if key.startswith(_UNIT):
            entry.unit.ParseFromString(value)
        else:
            entry.certificate.ParseFromString(value)
    return page


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit with what searching compares."""

    fact: facts_pb2.UnitFact
    sequence: int
    codes: tuple[str, ...]  # folded
    text: str  # folded


class Directory:
    """Units and certificates in memory. Implements `axis.core.verify.Certificates`."""

    def __init__(self) -> None:
        #: Everything up to this sequence is in; what stands later in the journal must wait.
        self.as_of = 0
        #: What to ask the axis for next: `GET /v1/directory?after=cursor`.
        self.cursor = 0
        self._units: dict[str, _Unit] = {}
        self._aliases: dict[str, str] = {}
        self._certificates: dict[bytes, tuple[facts_pb2.CertificateFact, int]] = {}

    def take(self, page: api_pb2.DirectoryPage) -> None:
        """Add a page.

        `as_of` moves with the last page only: while more are to come, a unit or certificate that changed
        between two pages may be missing altogether.
        """
        self.add(page.entries)
        self.cursor = max(self.cursor, page.as_of)
        if not page.more:
            self.as_of = self.cursor

    def add(self, entries: Iterable[api_pb2.DirectoryEntry]) -> None:
        """Add entries; one that is older than what is known of its unit or certificate is left out."""
        for entry in entries:
            kind = entry.WhichOneof("entry")
            if kind == "unit":
                self._add_unit(entry.unit, entry.sequence)
            elif kind == "certificate":
                self._add_certificate(entry.certificate, entry.sequence)

    def _add_unit(self, fact: facts_pb2.UnitFact, sequence: int) -> None:
        before = self._units.get(fact.code)
        if before is not None:
            if before.sequence > sequence:
                return
            for code in before.fact.old_codes:
                if self._aliases.get(code) == fact.code:
                    del self._aliases[code]
        codes = (fact.code, *fact.old_codes)
        self._aliases.update(dict.fromkeys(codes, fact.code))
        folded = tuple(fold(code) for code in codes)
        self._units[fact.code] = _Unit(fact, sequence, folded, " ".join((*folded, fold(fact.name))))

    def _add_certificate(self, fact: facts_pb2.CertificateFact, sequence: int) -> None:
        sha256 = hashlib.sha256(fact.certificate).digest()
        before = self._certificates.get(sha256)
        if before is None or before[1] <= sequence:
            self._certificates[sha256] = (fact, sequence)

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """A certificate by the SHA-256 of its DER; None if its issuance is not in the journal."""
        known = self._certificates.get(sha256)
        return known[0] if known is not None else None

    def certificates(self, organisation: str) -> list[facts_pb2.CertificateFact]:
        """Every certificate in an organisation's name, the oldest first."""
        own = (fact for fact, _ in self._certificates.values() if fact.organisation == organisation)
        return sorted(own, key=lambda fact: fact.issued_sequence)

    def unit(self, code: str) -> facts_pb2.UnitFact | None:
        """A unit by its primary code."""
        known = self._units.get(code)
        return known.fact if known is not None else None

    def units(self) -> Iterator[facts_pb2.UnitFact]:
        """All units, by code."""
        return (self._units[code].fact for code in sorted(self._units))

    def resolve(self, any_code: str) -> str | None:
        """The primary code of the unit that has this code, now or of old."""
        return self._aliases.get(any_code)

    def host_of(self, code: str) -> str:
        """The organisation whose node takes this unit's documents today."""
        return nearest_host(code, self.unit)

    def search(self, query: str, limit: int = 50) -> list[facts_pb2.UnitFact]:
        """Units whose codes and name hold every word of `query`, without regard to accents and case.

        A unit that has the query for a code comes first, then codes that begin with it, then by code.
        """
        wanted = fold(query).strip()
        words = wanted.split()
        found = [known for known in self._units.values() if all(word in known.text for word in words)]
        found.sort(key=lambda known: (_rank(known, wanted), known.fact.code))
        return [known.fact for known in found[:limit]]


def _rank(known: _Unit, wanted: str) -> int:
    if wanted in known.codes:
        return 0
    return 1 if any(code.startswith(wanted) for code in known.codes) else 2
