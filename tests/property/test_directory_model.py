"""The directory against a model that scans everything: searching, hosting, and differences in any order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from axispb.v1 import api_pb2, facts_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axis.core import directory as directory_module
from axis.core import lookup, unit_search
from axis.core.directory import Directory
from axis.core.folding import fold
from axis.core.lookup import nearest_host

CODES = [f"{letter}{number}" for letter in "GHgh" for number in (1, 5, 53)] + ["G1.5", "H53.1", "H53.1.5"]
WORDS = [
    "Sở",
    "Y",
    "tế",
    "Đắk",
    "Lắk",
    "Đa\u0306\u0301k",
    "tỉnh",
    "H53",
    "g1",
    "–",
    "\x1fG1",
    "a\nb",
    "İ",
    "ß",
]

names = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
queries = st.one_of(
    st.lists(st.sampled_from([*WORDS, *CODES, "t", "lak", "dak", "s", ".", "h5"]), max_size=3).map(" ".join),
    st.text(max_size=3),
)


@st.composite
def histories(draw: st.DrawFn) -> list[api_pb2.DirectoryEntry]:
    """Changes of a register, in order: an old code has one unit at a time, as the axis sees to."""
    entries: list[api_pb2.DirectoryEntry] = []
    now: dict[str, facts_pb2.UnitFact] = {}
    for sequence in range(1, draw(st.integers(1, 25)) + 1):
        code = draw(st.sampled_from(CODES))
        taken = {old for other, fact in now.items() if other != code for old in fact.old_codes}
        free = [f"old{n}" for n in range(4) if f"old{n}" not in taken]
        fact = facts_pb2.UnitFact(
            code=code,
            name=draw(names),
            parent=draw(st.sampled_from(["", "nowhere", *CODES])),
            old_codes=draw(st.lists(st.sampled_from(free), unique=True)) if free else [],
            enrolled=draw(st.booleans()),
        )
        now[code] = fact
        entries.append(api_pb2.DirectoryEntry(sequence=sequence, unit=fact))
    return entries


def newest(entries: list[api_pb2.DirectoryEntry]) -> list[api_pb2.DirectoryEntry]:
    """What a journal lists: each unit's newest entry, by sequence."""
    of = {entry.unit.code: entry for entry in entries}
    return sorted(of.values(), key=lambda entry: entry.sequence)


def brute_force(units: list[facts_pb2.UnitFact], query: str, limit: int) -> list[str]:
    def rank(unit: facts_pb2.UnitFact) -> int:
        codes = [fold(code) for code in (unit.code, *unit.old_codes)]
        wanted = fold(query).strip()
        return 0 if wanted in codes else 1 if any(code.startswith(wanted) for code in codes) else 2

    def holds(unit: facts_pb2.UnitFact) -> bool:
        texts = [fold(text) for text in (unit.code, *unit.old_codes, " ".join(unit.name.split()))]
        return all(any(word in text for text in texts) for word in fold(query).split())

    found = sorted(filter(holds, units), key=lambda unit: (rank(unit), unit.code))
    return [unit.code for unit in found[:limit]]


def everything(directory: Directory) -> tuple[object, ...]:
    """What can be asked of a directory."""
    organisations = [*CODES, "nowhere", "old0"]
    return (
        [entry.SerializeToString(deterministic=True) for entry in directory.entries()],
        [directory.resolve(code) for code in (*organisations, "old1", "old2", "old3")],
        [(directory.children(code), directory.hosted(code)) for code in organisations],
        [[unit.code for unit in directory.search(query)] for query in ("", "g1", "h5", "dak lak", "old1")],
    )


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_search, "_BLOCK", 2)


@settings(max_examples=200)
@given(histories(), queries, st.integers(0, 6))
def test_search_finds_what_a_scan_finds(
    entries: list[api_pb2.DirectoryEntry], query: str, limit: int
) -> None:
    directory = Directory()
    directory.add(entries)
    found = [unit.code for unit in directory.search(query, limit)]
    assert found == brute_force(list(directory.units()), query, limit)


@settings(max_examples=200)
@given(histories(), st.lists(st.integers(0, 25)), st.booleans())
def test_differences_come_to_the_same_as_the_whole(
    entries: list[api_pb2.DirectoryEntry], cuts: list[int], again: bool
) -> None:
    """However a history is cut into differences, each the newest entries of what changed since the last."""
    whole, followed, loaded = Directory(), Directory(), Directory()
    whole.add(newest(entries))
    loaded.load(entry.SerializeToString() for entry in sorted(newest(entries), key=lambda e: e.unit.code))
    stored: dict[str, bytes] = {}
    for begin, end in pairwise(sorted({0, len(entries), *(min(cut, len(entries)) for cut in cuts)})):
        difference = newest(entries[begin:end])
        rows = followed.add(difference)
        assert len(rows) == len(difference)
        stored |= {key: raw for key, _, raw in rows}
        if again:  # a page that comes twice
            followed.add(difference)
    restarted = Directory()
    restarted.load(stored[key] for key in sorted(stored))
    assert everything(whole) == everything(followed) == everything(loaded) == everything(restarted)


@pytest.mark.parametrize("levels", [3, 64])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the same patch for every example
@given(entries=histories())
def test_an_organisation_hosts_the_units_whose_host_it_is(
    monkeypatch: pytest.MonkeyPatch, levels: int, entries: list[api_pb2.DirectoryEntry]
) -> None:
    """However few levels a look-up climbs, both sides climb as many."""
    for module in (directory_module, lookup):
        monkeypatch.setattr(module, "MAX_LEVELS", levels)
    directory = Directory()
    directory.add(entries)
    units = {unit.code: unit for unit in directory.units()}
    for organisation in [*CODES, "nowhere"]:
        hosted = [code for code in sorted(units) if nearest_host(code, units.get) == organisation]
        assert directory.hosted(organisation) == hosted
        below = [code for code in sorted(units) if units[code].parent == organisation]
        assert directory.children(organisation) == below
    assert len(directory) == len(units)


@given(st.lists(st.text()))
def test_folding_together_is_folding_apart(texts: list[str]) -> None:
    apart = [fold(text.replace("\n", " ")) for text in texts]
    assert fold("\n".join(text.replace("\n", " ") for text in texts)) == "\n".join(apart)
