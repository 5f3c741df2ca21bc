"""The register: units, suspension, tokens, enrolment, certificates, and notes of refusals."""

from __future__ import annotations

import dataclasses

import pytest

from axis.core import lookup
from axis.core.commands import (
    Command,
    Done,
    Enrol,
    EnrolAnswer,
    Found,
    IssueToken,
    NoteRejected,
    RecordCertificate,
    Register,
    Resume,
    Revoke,
    Suspend,
)
from axis.core.decide import check_token
from axis.core.errors import Refusal
from tests.world import AXIS_ID, DAY, World, certificate, sha256

SECRET = sha256("secret")


@pytest.fixture
def world() -> World:
    world = World()
    world.unit("G22", old=["000.00.00.G22"])
    return world


def refused(world: World, command: Command) -> Refusal:
    with pytest.raises(Refusal) as caught:
        world.do(command)
    return caught.value


def parent(world: World, code: str) -> str:
    fact = lookup.unit(world.store, code)
    assert fact is not None
    return fact.parent


def test_a_journal_is_founded_once(world: World) -> None:
    assert world.do(Found(AXIS_ID, (), ())) == Done(AXIS_ID, changed=False)
    assert refused(world, Found("b2" * 32, (), ())).name == "axis_mismatch"
    origin = lookup.founded(world.store)
    assert origin is not None
    assert (origin.axis_id, list(origin.anchors)) == (AXIS_ID, [b"anchor"])
    assert world.keys[lookup.FOUNDED_KEY] == 1


class TestUnits:
    def test_registration_resolves_every_code(self, world: World) -> None:
        assert world.do(Register("G14", "Nội vụ", "", ("000.00.00.G14", "G14"))) == Done("G14", changed=True)
        assert [lookup.resolve(world.store, code) for code in ("G14", "000.00.00.G14", "g14")] == [
            "G14",
            "G14",
            None,
        ]
        fact = lookup.unit(world.store, "G14")
        assert fact is not None
        assert list(fact.old_codes) == ["000.00.00.G14"]
        assert fact.registered_sequence == world.head.sequence

    @pytest.mark.parametrize(
        "command",
        [
            Register("axis", "x"),
            Register("G 1", "x"),
            Register("G1", ""),
            Register("G1", "n" * 201),
            Register("G1", "x", "", ("not a code",)),
            Register("G1", "x", "X9"),
            Register("G1", "x", "", ("G22",)),
            Register("G1", "x", "", ("000.00.00.G22",)),
            Register("000.00.00.G22", "x"),
            Suspend("X9"),
            Resume("X9"),
            IssueToken("X9", SECRET, 1),
            IssueToken("G22", b"short", 1),
        ],
    )
    def test_what_does_not_fit_is_field_invalid(self, world: World, command: Command) -> None:
        assert refused(world, command).name == "field_invalid"

    def test_a_parent_is_derived_from_the_form_of_the_code(self, world: World) -> None:
        world.unit("G22.99.09")
        assert parent(world, "G22.99.09") == "G22", "the nearest that is registered"
        world.unit("001.00.00.G22")
        assert parent(world, "001.00.00.G22") == "G22", "through an old code"
        world.unit("H1")
        assert parent(world, "H1") == ""

    def test_a_parent_is_given_by_any_code(self, world: World) -> None:
        world.unit("H1", parent="000.00.00.G22")
        assert parent(world, "H1") == "G22"

    def test_cycles_are_refused(self, world: World) -> None:
        world.unit("G22.A")
        world.unit("G22.A.B")
        for above in ("G22", "G22.A", "G22.A.B"):
            assert refused(world, Register("G22", "x", above)).name == "field_invalid"
        # By its form, the old code of a unit below would be the parent of the one above.
        world.unit("Y.Z")
        world.unit("X", parent="Y.Z", old=["Y"])
        world.do(Register("Y.Z", "again"))
        assert parent(world, "Y.Z") == ""

    def test_registering_again_changes_what_is_given_and_keeps_the_rest(self, world: World) -> None:
        world.unit("H1", parent="G22", old=["000.00.00.H01"])
        world.enrol("H1")
        world.do(Suspend("H1"))
        before = lookup.unit(world.store, "H1")
        assert world.do(Register("H1", "Unit H1")) == Done("H1", changed=False)
        assert world.do(Register("H1", "renamed")) == Done("H1", changed=True)
        after = lookup.unit(world.store, "H1")
        assert before is not None
        before.name = "renamed"
        assert after == before
        world.do(Register("H1", "renamed", "", ("H1.OLD",)))
        assert lookup.resolve(world.store, "000.00.00.H01") is None
        world.unit("H2", old=["000.00.00.H01"])
        assert lookup.resolve(world.store, "000.00.00.H01") == "H2"

    def test_suspension_is_a_state_not_a_count(self, world: World) -> None:
        assert world.do(Suspend("000.00.00.G22", "unpaid")) == Done("G22", changed=True)
        assert world.do(Suspend("G22")) == Done("G22", changed=False)
        assert world.record(world.head.sequence).suspended.reason == "unpaid"
        assert world.do(Resume("G22")) == Done("G22", changed=True)
        assert world.do(Resume("G22")) == Done("G22", changed=False)

    def test_the_nearest_enrolled_ancestor_is_the_host(self, world: World) -> None:
        for code in ("G22.A", "G22.A.B"):
            world.unit(code)
        assert lookup.host_of(world.store, "G22.A.B") == "G22.A.B"
        world.enrol("G22")
        assert lookup.host_of(world.store, "G22.A.B") == "G22"
        world.enrol("G22.A")
        assert lookup.host_of(world.store, "G22.A.B") == "G22.A"
        assert lookup.host_of(world.store, "X9") == "X9"


def enrol(world: World, code: str = "G22", **changes: object) -> Enrol:
    command = Enrol(code, SECRET, certificate(code, "tls"), certificate(code))
    return dataclasses.replace(command, **changes)  # type: ignore[arg-type]


class TestEnrolment:
    @pytest.fixture(autouse=True)
    def token(self, world: World) -> None:
        world.do(IssueToken("000.00.00.G22", SECRET, world.now + DAY))

    def test_both_certificates_and_the_binding_are_one_decision(self, world: World) -> None:
        tls, sign = certificate("G22", "tls"), certificate("G22")
        first = world.head.sequence + 1
        assert world.do(enrol(world)) == EnrolAnswer("G22", tls.serial, sign.serial, repeated=False)
        assert [r.WhichOneof("body") for n, r in world.records() if n >= first] == [
            "issued",
            "issued",
            "enrolled",
        ]
        fact = lookup.certificate_by_serial(world.store, sign.serial)
        assert fact is not None
        assert fact.issued_sequence == first + 1
        assert fact.hierarchy == "development"
        assert lookup.FactCertificates(world.store).certificate(sign.sha256) == fact
        assert world.feeds(first) == world.feeds(first + 1) == {"G22": False}
        unit = lookup.unit(world.store, "G22")
        assert unit is not None
        assert unit.enrolled

    def test_the_same_keys_get_the_same_certificates_even_after_the_tokens_expiry(self, world: World) -> None:
        answer = world.do(enrol(world))
        world.later(100 * DAY)
        world.do(Suspend("G22"))
        assert world.do(enrol(world)) == dataclasses.replace(answer, repeated=True)
        keys = certificate("G22", "tls").public_key_sha256, certificate("G22").public_key_sha256
        code, used = check_token(SECRET, *keys, world.store, world.now)
        assert (code, used.sign_serial if used else "") == ("G22", answer.sign_serial)

    def test_other_keys_find_the_token_used(self, world: World) -> None:
        world.do(enrol(world))
        other = certificate("G22", name="stolen")
        assert refused(world, enrol(world, sign_certificate=other)).name == "token_used"

    def test_unknown_foreign_and_expired_tokens_are_invalid(self, world: World) -> None:
        assert refused(world, enrol(world, secret_sha256=sha256("guess"))).name == "token_invalid"
        world.unit("H1")
        assert refused(world, enrol(world, "H1")).name == "token_invalid"
        world.later(DAY)
        world.later(1)
        assert refused(world, enrol(world)).name == "token_invalid"

    def test_a_token_lasts_to_its_last_millisecond(self, world: World) -> None:
        world.later(DAY)
        world.do(enrol(world))

    def test_a_suspended_unit_does_not_enrol(self, world: World) -> None:
        world.do(Suspend("G22"))
        assert refused(world, enrol(world)).name == "sender_suspended"

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"sign_certificate": certificate("G14")}, "organisation_mismatch"),
            ({"sign_certificate": certificate("G22", "tls", "two")}, "certificate_wrong_usage"),
            (
                {
                    "sign_certificate": dataclasses.replace(
                        certificate("G22"), public_key_sha256=certificate("G22", "tls").public_key_sha256
                    )
                },
                "field_invalid",
            ),
            (
                {
                    "sign_certificate": dataclasses.replace(
                        certificate("G22"), serial=certificate("axis").serial
                    )
                },
                "field_invalid",
            ),
        ],
    )
    def test_certificates_that_do_not_fit(self, world: World, change: dict[str, object], name: str) -> None:
        world.do(RecordCertificate(certificate("axis")))
        head = world.head
        assert refused(world, enrol(world, **change)).name == name
        assert world.head == head

    def test_a_new_token_with_the_same_keys_binds_what_is_journalled(self, world: World) -> None:
        world.do(enrol(world))
        another = sha256("another")
        world.do(IssueToken("G22", another, world.now + DAY))
        world.do(enrol(world, secret_sha256=another))
        assert world.record(world.head.sequence).enrolled.secret_sha256 == another
        assert world.record(world.head.sequence - 1).WhichOneof("body") == "token_issued"

    def test_revoked_keys_do_not_enrol_again(self, world: World) -> None:
        world.do(enrol(world))
        world.do(Revoke(certificate("G22").serial, "keyCompromise"))
        another = sha256("another")
        world.do(IssueToken("G22", another, world.now + DAY))
        assert refused(world, enrol(world, secret_sha256=another)).name == "certificate_revoked"

    def test_a_secret_is_issued_once(self, world: World) -> None:
        again = IssueToken("G22", SECRET, world.now + DAY)
        assert world.do(again) == Done("G22", changed=False)
        assert refused(world, IssueToken("G22", SECRET, world.now)).name == "field_invalid"


class TestCertificates:
    def test_the_axis_own_reaches_no_feed_and_enrols_nobody(self, world: World) -> None:
        info = certificate("axis")
        assert world.do(RecordCertificate(info)) == Done(info.serial, changed=True)
        assert world.feeds(world.head.sequence) == {}
        assert world.do(RecordCertificate(info)) == Done(info.serial, changed=False)

    def test_one_that_only_the_issuer_had_makes_its_unit_a_host(self, world: World) -> None:
        world.do(RecordCertificate(certificate("G22"), "national"))
        assert world.feeds(world.head.sequence) == {"G22": False}
        unit = lookup.unit(world.store, "G22")
        assert unit is not None
        assert unit.enrolled
        world.do(RecordCertificate(certificate("H9")))
        assert refused(world, RecordCertificate(certificate("no code"))).name == "field_invalid"

    @pytest.mark.parametrize(
        "reason", ["keyCompromise", "key-compromise", "KEY_COMPROMISE", "key compromise"]
    )
    def test_a_revocation_is_kept_with_its_place_time_and_reason(self, world: World, reason: str) -> None:
        info = certificate("axis")
        world.do(RecordCertificate(info))
        assert world.do(Revoke(info.serial.upper(), reason)) == Done(info.serial, changed=True)
        assert world.do(Revoke(info.serial, reason)) == Done(info.serial, changed=False)
        fact = lookup.certificate(world.store, info.sha256)
        assert fact is not None
        assert (fact.revoked_sequence, fact.revoked_at, fact.revocation_reason) == (
            world.head.sequence,
            world.now,
            "keyCompromise",
        )
        assert world.do(RecordCertificate(info)) == Done(info.serial, changed=False)

    def test_the_issuers_time_of_revocation_is_kept(self, world: World) -> None:
        info = certificate("axis")
        world.do(RecordCertificate(info))
        world.do(Revoke(info.serial, "superseded", 7))
        assert world.record(world.head.sequence).revoked.revoked_at == 7

    def test_what_cannot_be_revoked(self, world: World) -> None:
        assert refused(world, Revoke("00", "superseded")).name == "certificate_unknown"
        assert refused(world, Revoke("00", "certificateHold")).name == "field_invalid"


def test_a_refusal_is_noted_for_nobodys_feed(world: World) -> None:
    note = NoteRejected("G22", "id_reused", sha256("bytes"), "id", "d" * 600, 3)
    assert world.do(note) == Done("id_reused", changed=True)
    rejected = world.record(world.head.sequence).rejected
    assert (rejected.organisation, rejected.code, rejected.count) == ("G22", "id_reused", 3)
    assert len(rejected.detail) == 500
    assert world.feeds(world.head.sequence) == {}
