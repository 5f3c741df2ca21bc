"""What recalls, updates and replacements name, and how issuers number documents."""

from __future__ import annotations

from axispb.v1 import document_pb2
from hypothesis import given
from hypothesis import strategies as st

from axis.core.references import (
    AMBIGUOUS,
    NOT_SENDERS,
    UNKNOWN,
    Candidate,
    numbering,
    original,
    references,
    relation,
)

EVE = 1_767_200_399_000  # 2025-12-31 23:59:59 in Vietnam


def fields(doc_type: int, **more: object) -> document_pb2.Fields:
    found = document_pb2.Fields(**more)  # type: ignore[arg-type]
    found.business.doc_type = doc_type
    return found


def test_each_kind_names_its_original_in_its_own_place() -> None:
    found = document_pb2.Fields()
    found.response_for.add(document_id=" a ")
    found.response_for.add(document_id="a")
    found.response_for.add(document_id="b")
    found.business.document_id = "c"
    found.business.replacements.add(document_id="d")
    found.business.replacements.add(document_id="")
    for doc_type, kind, names in (
        (0, "", ()),
        (1, "recall", ("a", "b")),
        (2, "update", ("c",)),
        (3, "replacement", ("d",)),
        (9, "", ()),
    ):
        found.business.doc_type = doc_type
        assert (relation(found), references(found)) == (kind, names)


def test_what_names_too_much_is_bounded() -> None:
    found = fields(1)
    for number in range(1000):
        found.response_for.add(document_id=f"{number}" + "x" * 1000)
    assert len(references(found)) == 200
    assert max(map(len, references(found))) == 200


codes = st.sampled_from(["G22", "G14", "H41"])
candidates = st.lists(st.builds(Candidate, st.uuids().map(str), codes), max_size=6)


@given(candidates, codes)
def test_an_original_is_the_one_document_of_the_sender(found: list[Candidate], sender: str) -> None:
    own = [each for each in found if each.sender == sender]
    document_id, flag = original(found, sender)
    assert bool(document_id) != bool(flag)
    if document_id:
        assert [document_id] == [each.document_id for each in own]
    else:
        expected = AMBIGUOUS if len(own) > 1 else NOT_SENDERS if found else UNKNOWN
        assert flag == expected


def test_numbers_are_an_issuers_and_a_years() -> None:
    assert numbering(document_pb2.Fields(), EVE) == ""
    assert numbering(document_pb2.Fields(code_notation="CV"), EVE) == ""
    assert numbering(document_pb2.Fields(code_number="1", code_notation="CV"), EVE) == "2025/1/CV"
    assert numbering(document_pb2.Fields(code_number="1"), EVE + 1000) == "2026/1/"
    dated = document_pb2.Fields(code_number="1", promulgation_date="2024-02-01")
    assert numbering(dated, EVE) == "2024/1/"
    odd = document_pb2.Fields(code_number="1", promulgation_date="năm 2024")
    assert numbering(odd, EVE) == "2025/1/"
