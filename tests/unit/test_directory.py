"""The directory: pages, aliases, hosts, certificates by sequence, and search."""

from __future__ import annotations

import pytest
from axispb.v1 import api_pb2, facts_pb2

from axis.core.commands import Register, Revoke, Suspend
from axis.core.directory import Directory, directory_page
from axis.core.facts import Facts
from axis.core.folding import fold
from tests.world import World, certificate


def listed(world: World, prefix: str, after: int, limit: int) -> list[tuple[str, bytes, int]]:
    """Facts as the journal's port lists them: by sequence, never ending between two of one sequence."""
    found = sorted(
        ((k, v, n) for k, (v, n) in world.store.facts.items() if k.startswith(prefix) and n > after),
        key=lambda fact: (fact[2], fact[0]),
    )
    page = found[:limit]
    return page + [fact for fact in found[limit:] if fact[2] == page[-1][2]]


def page_of(world: World, after: int, limit: int = 1000, head: int | None = None) -> api_pb2.DirectoryPage:
    return directory_page(
        listed(world, "unit/", after, limit),
        listed(world, "certificate/", after, limit),
        limit=limit,
        head=world.head.sequence if head is None else head,
        time_of=lambda sequence: 1000 + sequence,
    )


def follow(world: World, directory: Directory, limit: int = 1000) -> int:
    """Take pages until there are no more; how many there were."""
    for count in range(1, 100):
        page = page_of(world, directory.cursor, limit)
        directory.take(page)
        if not page.more:
            return count
    raise AssertionError("the pages do not end")


@pytest.fixture
def world() -> World:
    world = World()
    world.do(Register("G22", "Văn phòng Chính phủ", "", ("000.00.00.G22",)))
    world.do(Register("G22.A", "Cục Kiểm soát"))
    world.do(Register("H53", "Ủy ban nhân dân tỉnh Tây Ninh"))
    world.do(Register("H5", "Đà Nẵng"))
    world.enrol("G22")
    return world


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_directory_follows_the_journal(world: World, limit: int) -> None:
    directory = Directory()
    pages = follow(world, directory, limit)
    assert (pages == 1) is (limit == 1000)
    assert directory.as_of == directory.cursor == world.head.sequence
    assert [unit.code for unit in directory.units()] == ["G22", "G22.A", "H5", "H53"]
    assert directory.resolve("000.00.00.G22") == "G22"
    assert directory.resolve("X9") is None
    assert (directory.host_of("G22.A"), directory.host_of("H53")) == ("G22", "H53")
    world.do(Suspend("H53"))
    world.do(Register("G22", "VPCP", "", ("G22.OLD",)))
    world.do(Revoke(certificate("G22").serial, "superseded"))
    follow(world, directory, limit)
    assert directory.unit("H53").suspended  # type: ignore[union-attr]
    assert directory.unit("X9") is None
    assert (directory.resolve("000.00.00.G22"), directory.resolve("G22.OLD")) == (None, "G22")
    revoked = directory.certificate(certificate("G22").sha256)
    assert revoked is not None
    assert revoked.revoked_sequence == world.head.sequence
    assert directory.certificate(b"") is None
    assert [fact.usage for fact in directory.certificates("G22")] == ["tls", "sign"]
    assert follow(world, directory) == 1


def test_as_of_waits_for_the_last_page(world: World) -> None:
    directory = Directory()
    directory.take(page_of(world, 0, limit=1))
    assert directory.cursor > 0
    assert directory.as_of == 0, "what changes between two pages may be missing until the last"


def test_what_changed_after_the_head_was_read_is_in_the_page(world: World) -> None:
    head = world.head.sequence
    world.do(Revoke(certificate("G22").serial, "superseded"))
    directory = Directory()
    directory.take(page_of(world, 0, head=head))
    assert directory.as_of == head
    assert directory.certificate(certificate("G22").sha256) is not None


def test_older_entries_change_nothing(world: World) -> None:
    directory = Directory()
    old = page_of(world, 0)
    world.do(Register("G22", "renamed", "", ("G22.OLD",)))
    world.do(Revoke(certificate("G22").serial, "superseded"))
    follow(world, directory)
    directory.add([*old.entries, api_pb2.DirectoryEntry(sequence=9)])
    assert directory.unit("G22").name == "renamed"  # type: ignore[union-attr]
    assert directory.certificate(certificate("G22").sha256).revoked_sequence > 0  # type: ignore[union-attr]


def test_a_code_that_moved_stays_with_its_new_unit() -> None:
    def entry(sequence: int, code: str, *old: str) -> api_pb2.DirectoryEntry:
        fact = facts_pb2.UnitFact(code=code, old_codes=old)
        return api_pb2.DirectoryEntry(sequence=sequence, unit=fact)

    directory = Directory()
    # A gave OLD up at 2, but a later change hides that: B's entry with OLD comes first.
    directory.add([entry(1, "A", "OLD"), entry(3, "B", "OLD"), entry(4, "A")])
    assert directory.resolve("OLD") == "B"


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("H5", ["H5", "H53"]),
        ("000.00.00.g22", ["G22"]),
        ("g22", ["G22", "G22.A"]),
        ("tay ninh uy", ["H53"]),
        ("đà  nẵng ", ["H5"]),
        ("DA NANG", ["H5"]),
        ("chính", ["G22"]),
        ("nowhere", []),
        ("", ["G22", "G22.A", "H5", "H53"]),
    ],
)
def test_search_needs_neither_accents_nor_case(world: World, query: str, codes: list[str]) -> None:
    directory = Directory()
    follow(world, directory)
    assert [unit.code for unit in directory.search(query)] == codes
    assert len(directory.search("", limit=2)) == 2


def test_folding_meets_both_forms_of_unicode() -> None:
    assert fold("Đắk Lắk") == fold("Đa\u0306\u0301k LA\u0306\u0301K".lower()) == "dak lak"


def test_a_directory_serves_verification(world: World) -> None:
    from axis.core.verify import Certificates

    certificates: Certificates = Directory()
    facts: Facts = world.store
    assert certificates.certificate(b"") is None
    assert facts.get("unit/G22")


def test_an_old_code_stays_with_the_unit_that_named_it_last() -> None:
    directory = Directory()
    for sequence, code in ((3, "B"), (1, "A")):
        fact = facts_pb2.UnitFact(code=code, old_codes=["OLD"])
        assert directory.add([api_pb2.DirectoryEntry(sequence=sequence, unit=fact)])
    assert directory.resolve("OLD") == "B"


def test_a_stored_directory_is_loaded_in_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from axis.core import directory as module

    monkeypatch.setattr(module, "_AT_ONCE", 2)
    first, second = Directory(), Directory()
    rows = first.take(page_of(world, 0))
    assert [key for key, _, _ in rows if key.startswith("unit/")] == [
        "unit/G22.A",
        "unit/H53",
        "unit/H5",
        "unit/G22",
    ]
    second.load(raw for _, _, raw in rows)
    assert [unit.code for unit in second.units()] == [unit.code for unit in first.units()]
    assert second.certificates("G22") == first.certificates("G22")
    assert first.add([page_of(world, 0).entries[0]]), "the same again is no older"


def test_a_page_before_the_last_holds_nothing_that_comes_again(world: World) -> None:
    page = page_of(world, 0, limit=2)
    assert page.more
    assert [entry.sequence for entry in page.entries][-1] <= page.as_of
    last = page_of(world, page.as_of, limit=1000)
    assert not {entry.sequence for entry in last.entries} & {entry.sequence for entry in page.entries}


def test_an_entry_has_the_version_of_its_unit(world: World) -> None:
    directory = Directory()
    follow(world, directory)
    before = directory.entry("H53")
    world.do(Suspend("H53"))
    follow(world, directory)
    after = directory.entry("H53")
    assert before is not None
    assert after is not None
    assert before.sequence < after.sequence == world.head.sequence
    assert directory.entry("X9") is None
