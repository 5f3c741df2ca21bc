"""Which document a recall, update or replacement speaks of: the store's answers against a plain search."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axispb.v1 import document_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies.store.database import Store
from agencies.store.originals import flags_of, keep_issued, meant_by, named_document, originals_of, related_to
from axis.core.envelope import Envelope, Kind, signed_bytes

RELATIONS = {0: "", 1: "recall", 2: "update", 3: "replacement"}


@dataclass(frozen=True)
class Paper:
    """A document as its issuer names it; `speaks_of`: names that it gives."""

    sender: str
    name: str
    number: str
    doc_type: int
    speaks_of: tuple[str, ...]


papers = st.builds(
    Paper,
    st.sampled_from(["G22", "G14"]),
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from(["", "1", "2"]),
    st.integers(0, 3),
    st.lists(st.sampled_from(["", "a", "b", "c", "doc-0", "doc-3"]), max_size=2).map(tuple),
)


def envelope(number: int, paper: Paper) -> Envelope:
    fields = document_pb2.Fields(
        issuer_document_id=paper.name, code_number=paper.number, promulgation_date="2026-02-03"
    )
    fields.business.doc_type = paper.doc_type
    for name in paper.speaks_of:
        fields.response_for.add(document_id=name)
        fields.business.replacements.add(document_id=name)
    fields.business.document_id = (*paper.speaks_of, "")[0]
    message = document_pb2.Document(document_id=f"doc-{number}", sender_unit=paper.sender, fields=fields)
    return Envelope(signed_bytes(Kind.DOCUMENT, message), b"")


def named(paper: Paper) -> list[str]:
    if not paper.doc_type:
        return []
    names = paper.speaks_of[:1] if paper.doc_type == 2 else paper.speaks_of
    return sorted({name for name in names if name}) or [""]


def expected(known: list[Paper], speaking: int, name: str) -> tuple[str | None, str | None]:
    bears = [
        number
        for number, paper in enumerate(known)
        if name and number != speaking and name in (paper.name, f"doc-{number}")
    ]
    own = [number for number in bears if known[number].sender == known[speaking].sender]
    if len(own) == 1:
        return f"doc-{own[0]}", None
    return None, "original_ambiguous" if own else "original_not_senders" if bears else "original_unknown"


async def check(store: Store, known: list[Paper]) -> None:
    for number, paper in enumerate(known):

        def keep(connection: Any, number: int = number, paper: Paper = paper) -> None:
            keep_issued(connection, envelope(number, paper), paper.sender, number)

        await store.write(keep)
        await store.write(keep)  # a repeat changes nothing
    for number, paper in enumerate(known):
        document_id = f"doc-{number}"
        found = originals_of(store, document_id)
        wanted = [(name, *expected(known, number, name)) for name in named(paper)]
        assert [(one["issuer_document_id"], one["document_id"], one["flag"]) for one in found] == wanted
        assert {one["relation"] for one in found} <= {RELATIONS[paper.doc_type]}
        tied = [original for _, original, _ in wanted if original]
        assert meant_by(store, document_id) == (tied or [document_id])
        related = [one["document_id"] for one in related_to(store, document_id)]
        assert related == [
            f"doc-{other}"
            for other, one in enumerate(known)
            if any(expected(known, other, name)[0] == document_id for name in named(one))
        ]
        flags = set(flags_of(store, document_id)) - {flag for *_, flag in wanted}
        others = [one for other, one in enumerate(known) if other != number]
        repeats = set()
        if paper.name and any(one.name == paper.name for one in others):
            repeats.add("repeated_issuer_document_id")
        if paper.number and any((one.number, one.sender) == (paper.number, paper.sender) for one in others):
            repeats.add("repeated_number")
        assert flags == repeats


def test_every_search_has_an_index(tmp_path: Path) -> None:
    """A node holds millions of documents."""
    asked: list[str] = []
    store = Store(tmp_path / "agency.sqlite")
    try:
        store._reader.set_trace_callback(asked.append)
        asyncio.run(check(store, [Paper("G22", "a", "1", 1, ("b",)), Paper("G22", "b", "1", 0, ())]))
        for about in (
            document_pb2.ResponseFor(document_id="a", code="1"),
            document_pb2.ResponseFor(code="1/", promulgation_date="2026-02-03"),
        ):
            for side in ("sent", "received"):
                named_document(store, side, "G22", about)
        store._reader.set_trace_callback(None)
        searches = [sql for sql in asked if "issued" in sql or "reference" in sql]
        assert len(searches) > 10
        for sql in searches:
            plan = [row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {sql}")]
            assert not [step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step], sql
    finally:
        store.close()


@settings(max_examples=60)
@given(st.lists(papers, max_size=7))
def test_the_store_answers_as_a_plain_search_does(known: list[Paper]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "agency.sqlite")
        try:
            asyncio.run(check(store, known))
        finally:
            store.close()
