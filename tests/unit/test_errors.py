"""The registry of codes is complete, consistent and what the contract lists."""

import pytest

from axis.core.errors import CODES, TEMPORARY_FOR_RECEIPTS, Refusal, code

CONTRACT = """sender_not_registered sender_suspended organisation_mismatch not_host_of_unit recipient_unknown
recipient_suspended recipient_duplicate signature_invalid signature_malformed algorithm_not_allowed
certificate_unknown certificate_expired certificate_not_yet_valid certificate_revoked certificate_wrong_usage
axis_mismatch kind_mismatch header_malformed header_too_large field_invalid attachment_missing
attachment_mismatch id_reused created_in_future created_too_old not_a_recipient document_unknown
delivery_closed outcome_conflict idempotency_conflict token_invalid token_used rate_limited behind_head
head_unknown journal_forked storage_full shutting_down unavailable""".split()


#: What only HTTP itself knows, units by organisations, VXP systems, a node's settings, keys, the console.
ADDED = [
    "not_authorised",
    "origin_not_allowed",
    "unit_limit",
    "system_unknown",
    "system_exists",
    "system_not_allowed",
    "signed_header_differs",
    "timestamp_skewed",
    "route_unknown",
    "catching_up",
    "keys_replaced",
    "packet_signature_invalid",
    "keys_damaged",
    "role_insufficient",
    "csrf_invalid",
    "unit_unknown",
]


def test_the_registry_holds_the_contract_s_codes_and_ours() -> None:
    assert list(CODES) == CONTRACT + ADDED


@pytest.mark.parametrize("name", CONTRACT + ADDED)
def test_every_code_explains_itself(name: str) -> None:
    entry = CODES[name]
    assert 400 <= entry.http_status < 600
    assert entry.cause.endswith(".")
    assert entry.remedy.endswith(".")


@pytest.mark.parametrize(
    "name",
    ["attachment_missing", "created_in_future", "rate_limited", "behind_head", "storage_full", "unavailable"],
)
def test_not_now_is_temporary(name: str) -> None:
    assert CODES[name].temporary


def test_a_code_of_a_newer_version_is_taken_as_temporary() -> None:
    assert code("invented_later").temporary
    assert code("id_reused") is CODES["id_reused"]


def test_codes_temporary_for_receipts_exist() -> None:
    assert TEMPORARY_FOR_RECEIPTS <= CODES.keys()


def test_a_refusal_says_its_code_and_cause() -> None:
    refusal = Refusal("token_used")
    assert refusal.name == "token_used"
    assert refusal.detail == CODES["token_used"].cause
    assert str(refusal).startswith("token_used: ")
    assert Refusal("rate_limited", "slow down", retry_after=3).retry_after == 3
