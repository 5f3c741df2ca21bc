"""What a receipt is bound to."""

from __future__ import annotations

import pytest
from axispb.v1 import evidence_pb2, facts_pb2

from axis.core.document import check_receipt, new_document_id
from axis.core.envelope import Envelope
from axis.core.errors import Refusal
from axis.core.receipt import Binding, build_receipt, check_receipt_binding

ENVELOPE = Envelope(b"signed", b"signature")
ACCEPTANCE = Envelope(b"acceptance", b"by the axis")
BOUND = Binding.of(ENVELOPE, ACCEPTANCE)


def a_receipt(received: bool = True) -> evidence_pb2.Receipt:
    return build_receipt(
        axis_id="a1",
        document_id=new_document_id(1, bytes(10)),
        bound=BOUND,
        recipient_unit="G14",
        acting_organisation="G14",
        attempt=1,
        received=received,
        stored_at=5,
        reason="" if received else "torn",
    )


def test_a_receipt_that_was_built_passes_its_own_checks() -> None:
    for received, outcome in (
        (True, evidence_pb2.OUTCOME_RECEIVED),
        (False, evidence_pb2.OUTCOME_REFUSED),
    ):
        receipt = a_receipt(received)
        check_receipt(receipt)
        check_receipt_binding(receipt, BOUND)
        assert receipt.outcome == outcome


@pytest.mark.parametrize("field", ["signed_sha256", "signature_sha256", "acceptance_sha256"])
def test_a_transplanted_receipt_names_the_hash_that_does_not_fit(field: str) -> None:
    receipt = a_receipt()
    setattr(receipt, field, bytes(32))
    fact = facts_pb2.DocumentFact(
        signed_sha256=BOUND.signed_sha256,
        signature_sha256=BOUND.signature_sha256,
        acceptance_sha256=BOUND.acceptance_sha256,
    )
    with pytest.raises(Refusal, match=f"field_invalid: {field}: "):
        check_receipt_binding(receipt, fact)
