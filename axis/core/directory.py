"""The directory: who is registered, who hosts whom, and every certificate that ever counted.

An agency's node keeps a `Directory` built from the axis's entries and judges with it; the axis makes the
pages. Certificates carry the sequences of their issuance and revocation, so that an envelope is judged at
its own place in the journal, whenever it is judged. A node judges an item only with a directory at least as
new as the item (`as_of`).

An entry replaces what was known of the same unit or certificate; nothing is ever removed. So a difference is
applied like a whole: entries may come in any order and any number of times, and the newest of each stays.

The country has over a hundred thousand units: they are kept as the bytes they came in and parsed when asked
for, which takes a fifth of the memory of parsed ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from axispb.v1 import api_pb2, facts_pb2

from axis.core.lookup import nearest_host
from axis.core.organisation import MAX_LEVELS
from axis.core.unit_search import UnitSearch

__all__ = ["Directory", "directory_page"]

_UNIT: Final = "unit/"
#: So many are folded at once: few enough that the rest of a node hardly waits, and little is held twice.
_AT_ONCE: Final = 4000

#: A fact as a journal lists it: key, value, sequence of the record that last changed it.
_Listed = tuple[str, bytes, int]

#: An entry to be stored: a key of its own for each unit and certificate, its sequence, its bytes.
_Row = tuple[str, int, bytes]


def directory_page(
    units: Sequence[_Listed],
    certificates: Sequence[_Listed],
    *,
    limit: int,
    head: int,
    time_of: Callable[[int], int],
) -> api_pb2.DirectoryPage:
    """One page of what changed, from two listings that were each asked for with `limit`.

    `head` is the journal's sequence, read *before* the listings: they hold at least what it holds. What
    the last page holds beyond stays in, since a change may hide the earlier one of the same unit or
    certificate; what another page holds beyond its `as_of` comes with the next.
    """
    ends = [listing[-1][2] for listing in (units, certificates) if len(listing) >= limit]
    as_of = min([head, *ends])
    page = api_pb2.DirectoryPage(as_of=as_of, more=as_of < head)
    for key, value, sequence in sorted((*units, *certificates), key=lambda listed: (listed[2], listed[0])):
        if page.more and sequence > as_of:
            break
        entry = page.entries.add(sequence=sequence, at=time_of(sequence))
        if key.startswith(_UNIT):
            entry.unit.ParseFromString(value)
        else:
            entry.certificate.ParseFromString(value)
    return page


class Directory:
    """Units and certificates in memory. Implements `axis.core.verify.Certificates`."""

    def __init__(self) -> None:
        #: Everything up to this sequence is in; what stands later in the journal must wait.
        self.as_of = 0
        #: What to ask the axis for next: `GET /v1/directory?after=cursor`.
        self.cursor = 0
        self._units: dict[str, bytes] = {}  # serialised DirectoryEntry
        self._aliases: dict[str, str] = {}  # old codes only
        self._children: dict[str, list[str]] = {}
        self._enrolled: set[str] = set()
        self._search = UnitSearch()
        self._certificates: dict[bytes, tuple[facts_pb2.CertificateFact, int]] = {}

    def __len__(self) -> int:
        """How many units there are."""
        return len(self._units)

    def take(self, page: api_pb2.DirectoryPage) -> list[_Row]:
        """Add a page; answers what of it is to be stored, as `add` does.

        `as_of` moves with the last page only: while more are to come, a unit or certificate that changed
        between two pages may be missing altogether.
        """
        rows = self.add(page.entries)
        self.cursor = max(self.cursor, page.as_of)
        if not page.more:
            self.as_of = self.cursor
        return rows

    def add(self, entries: Iterable[api_pb2.DirectoryEntry]) -> list[_Row]:
        """Add entries; one that is older than what is known of its unit or certificate is left out.

        Answers (key, sequence, bytes) of those that are new; `load` takes the bytes.
        """
        rows = []
        for entry in entries:
            raw = entry.SerializeToString()
            key = self._add(entry, raw)
            if key:
                rows.append((key, entry.sequence, raw))
        return rows

    def load(self, stored: Iterable[bytes]) -> None:
        """Add entries as bytes: 0.5 s for the whole country. In the order of codes it is quickest."""
        for number, raw in enumerate(stored, 1):
            self._add(api_pb2.DirectoryEntry.FromString(raw), raw)
            if number % _AT_ONCE == 0:
                self._search.settle()
        self._search.settle()

    def _add(self, entry: api_pb2.DirectoryEntry, raw: bytes) -> str:
        """The entry's key; empty for one that is left out."""
        kind = entry.WhichOneof("entry")
        if kind == "unit":
            return self._add_unit(entry.unit, entry.sequence, raw)
        if kind == "certificate":
            return self._add_certificate(entry.certificate, entry.sequence)
        return ""

    def _add_unit(self, fact: facts_pb2.UnitFact, sequence: int, raw: bytes) -> str:
        code, parent, old_codes = fact.code, fact.parent, fact.old_codes
        before = self.entry(code)
        if before is not None:
            if before.sequence > sequence:
                return ""
            for old in before.unit.old_codes:
                if self._aliases.get(old) == code:
                    del self._aliases[old]
        self._units[code] = raw
        for old in old_codes:
            self._name(old, code, sequence)
        self._place(code, parent, before.unit.parent if before is not None else None)
        if fact.enrolled:
            self._enrolled.add(code)
        else:
            self._enrolled.discard(code)
        self._search.put(code, old_codes, fact.name)
        return f"{_UNIT}{code}"

    def _name(self, old: str, code: str, sequence: int) -> None:
        """An old code belongs to the unit that names it last: an earlier one has given it up."""
        holder = self.entry(self._aliases[old]) if old in self._aliases else None
        if holder is None or holder.sequence <= sequence:
            self._aliases[old] = code

    def _place(self, code: str, parent: str, before: str | None) -> None:
        if before == parent:
            return
        if before:
            self._children[before].remove(code)
        if parent:
            self._children.setdefault(parent, []).append(code)

    def _add_certificate(self, fact: facts_pb2.CertificateFact, sequence: int) -> str:
        sha256 = hashlib.sha256(fact.certificate).digest()
        before = self._certificates.get(sha256)
        if before is not None and before[1] > sequence:
            return ""
        self._certificates[sha256] = (fact, sequence)
        return f"serial/{fact.serial}"

    def certificate(self, sha256: bytes) -> facts_pb2.CertificateFact | None:
        """A certificate by the SHA-256 of its DER; None if its issuance is not in the journal."""
        known = self._certificates.get(sha256)
        return known[0] if known is not None else None

    def certificates(self, organisation: str) -> list[facts_pb2.CertificateFact]:
        """Every certificate in an organisation's name, the oldest first."""
        own = (fact for fact, _ in self._certificates.values() if fact.organisation == organisation)
        return sorted(own, key=lambda fact: fact.issued_sequence)

    def entry(self, code: str) -> api_pb2.DirectoryEntry | None:
        """A unit by its primary code, with the sequence of its newest change: its version."""
        raw = self._units.get(code)
        return api_pb2.DirectoryEntry.FromString(raw) if raw is not None else None

    def unit(self, code: str) -> facts_pb2.UnitFact | None:
        """A unit by its primary code."""
        known = self.entry(code)
        return known.unit if known is not None else None

    def entries(self) -> Iterator[api_pb2.DirectoryEntry]:
        """All units with their versions, by code: parsed one by one, a microsecond each."""
        return (api_pb2.DirectoryEntry.FromString(self._units[code]) for code in self._search.codes())

    def units(self) -> Iterator[facts_pb2.UnitFact]:
        """All units, by code."""
        return (entry.unit for entry in self.entries())

    def children(self, code: str) -> list[str]:
        """The primary codes of the units right below a unit, by code."""
        return sorted(self._children.get(code, ()))

    def hosted(self, organisation: str) -> list[str]:
        """The primary codes of the units whose `host_of` is this organisation, by code."""
        if organisation not in self._enrolled:
            alone = organisation in self._units and self.host_of(organisation) == organisation
            return [organisation] if alone else []
        below = {organisation}
        level = [organisation]
        for _ in range(MAX_LEVELS - 1):
            children = (child for code in level for child in self._children.get(code, ()))
            level = [child for child in children if child not in self._enrolled]
            if not level:
                break
            below.update(level)
        return sorted(below)

    def resolve(self, any_code: str) -> str | None:
        """The primary code of the unit that has this code, now or of old."""
        if any_code in self._aliases:
            return self._aliases[any_code]
        return any_code if any_code in self._units else None

    def host_of(self, code: str) -> str:
        """The organisation whose node takes this unit's documents today."""
        return nearest_host(code, self.unit)

    def search(self, query: str, limit: int = 50) -> list[facts_pb2.UnitFact]:
        """Units whose codes and name hold every word of `query`, without regard to accents and case.

        A unit that has the query for a code comes first, then codes that begin with it, then by code.
        """
        found = map(self._units.__getitem__, self._search.find(query, limit))
        return [api_pb2.DirectoryEntry.FromString(raw).unit for raw in found]
