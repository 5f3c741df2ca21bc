"""No filter of the traffic log reads a whole table, or sorts more than one document's rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.queries import query
from bench.history import History

#: Not `moved_below`: it reads all moves, where `count_moves` has found them few.
ASKED = [
    "places", "places_matching", "places_of_document", "places_of_document_matching", "traffic",
    "first_sequence_at", "moved_below_downwards", "has_left", "subtree", "words_beginning",
    "ancestors", "resolve_unit",
]  # fmt: skip
#: Scans of what the query itself has made, or of an index that was asked for a match.
SMALL = ("json_each VIRTUAL TABLE", "search VIRTUAL TABLE INDEX", "tree", "above", "(subquery", "CONSTANT")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_no_query_scans(name: str, order: str, tmp_path: Path) -> None:
    history = History(MemoryJournal("j", reduce))
    await history.found()
    await history.flush()
    names = ("low", "high", "count", "match", "document_id", "sequences", "sequence", "root", "unit", "word",
             "limit", "code", "levels")  # fmt: skip
    parameters = dict.fromkeys(names, "1")
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(history.journal)
        with closing(views.reader()) as reader:
            statement = f"EXPLAIN QUERY PLAN {query(name).replace('/* order */', order)}"
            plan = [str(row["detail"]) for row in reader.execute(statement, parameters)]
    scans = [step for step in plan if step.startswith("SCAN") and not step[5:].startswith(SMALL)]
    assert scans == [], plan
    sorts = [step for step in plan if "TEMP B-TREE" in step]
    # A document's recipients are put into their order; the ancestors of one unit likewise.
    assert len(sorts) == (1 if name in {"traffic", "ancestors"} else 0), plan
