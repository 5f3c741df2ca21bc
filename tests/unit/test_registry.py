"""The register, enrolment and deadlines on the in-memory journal, with the real authority in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from axispb.v1 import api_pb2, evidence_pb2

from axis.core import state
from axis.core.commands import RecordCertificate, Revoke, Suspend
from axis.core.document import DELIVERY_LIFE_MS
from axis.core.envelope import Kind
from axis.core.errors import Refusal
from axis.core.trust import Anchors, read_certificate
from axis.flow.deadlines import Deadlines
from axis.flow.downloads import Downloads
from axis.flow.enrolment import Enrolment
from axis.flow.peers import Peer, Peers
from axis.flow.registry import Registry
from certs.authority import Authority
from tests.support.flow import FlowWorld, flow_world
from tests.support.wire import KeyPair, read_token
from tests.world import DAY, START, certificate, open_envelope


class LocalIssuer:
    """ports.Issuer in this process; `reachable` False makes it answer `unavailable`."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.reachable = True
        self.extra: list[Mapping[str, object]] = []

    def _check(self) -> None:
        if not self.reachable:
            raise Refusal("unavailable", "the issuer is not there")

    async def issue(
        self, *, organisation: str, tls_request: bytes, sign_request: bytes
    ) -> tuple[bytes, bytes]:
        self._check()
        return self.authority.issue_organisation(organisation, tls_request, sign_request, START)

    async def issue_axis(
        self, *, tls_request: bytes, sign_request: bytes, names: Sequence[str]
    ) -> tuple[bytes, bytes]:
        self._check()
        return self.authority.issue_axis(tls_request, sign_request, names, START)

    async def revoke(self, serial: str, reason: str, at: int) -> None:
        self._check()
        self.authority.revoke(serial, reason, at)

    async def listed(self) -> list[Mapping[str, object]]:
        rows: list[Mapping[str, object]] = [
            {
                "organisation": row.organisation,
                "usage": row.usage,
                "serial": row.serial,
                "certificate": row.certificate,
                "revoked_at": row.revoked_at,
                "reason": row.reason,
            }
            for row in self.authority.listed()
        ]
        return rows + self.extra

    async def close(self) -> None:
        """Nothing."""


class Office:
    """A register with its authority."""

    def __init__(self, world: FlowWorld, authority: Authority, issuer: LocalIssuer | None) -> None:
        self.world = world
        self.issuer = issuer
        self.anchors = Anchors(authority.anchors, authority.intermediates)
        self.secrets = 0
        self.enrolment = Enrolment(
            journal=world.journal,
            sequencer=world.sequencer,
            clock=world.clock,
            anchors=self.anchors,
            issuer=issuer,
            random=self.random,
            url=lambda: "https://axis.test:8443",
        )
        self.registry = Registry(world.journal, world.sequencer, self.enrolment, world.clock)

    def random(self, count: int) -> bytes:
        self.secrets += 1
        return self.secrets.to_bytes(count, "big")

    async def enrol(self, code: str, tls: KeyPair, sign: KeyPair) -> api_pb2.EnrolResponse:
        await self.enrolment.token(code)
        return await self.enrolment.enrol(self.request(tls, sign))

    def request(self, tls: KeyPair, sign: KeyPair) -> api_pb2.EnrolRequest:
        return api_pb2.EnrolRequest(
            secret=self.secrets.to_bytes(32, "big"), tls_request=tls.request(), sign_request=sign.request()
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("office") / "pki", START)


@pytest.fixture
async def office(authority: Authority) -> AsyncIterator[Office]:
    async with flow_world() as world:
        yield Office(world, authority, LocalIssuer(authority))


async def refusal(waiting: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value


async def test_add_gives_a_token_that_says_everything(office: Office) -> None:
    answer = await office.registry.add("G22", "Văn phòng Chính phủ", old_codes=["000.00.00.G22"])
    token = read_token(answer["token"])
    assert answer["code"] == token["code"] == "G22"
    assert token["url"] == "https://axis.test:8443"
    assert token["anchor_sha256"] == office.anchors.axis_id
    assert token["expires_at"] == office.world.clock.now() + 7 * DAY
    assert answer["expires_at"].endswith("+07:00")
    assert (await office.registry.token("000.00.00.G22"))["code"] == "G22"


async def test_a_command_waits_for_what_other_nodes_have_appended(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended at another node a moment ago: "not suspended" would be no answer to a resumption."""
    journal, confirmed = office.world.journal, [False]

    async def confirm() -> bool:
        if confirmed[0]:
            await office.world.sequencer.submit(Suspend("G22"))  # what the other node has appended
        return confirmed[0]

    await office.registry.add("G22", "Văn phòng Chính phủ")
    monkeypatch.setattr(journal, "confirm", confirm)
    assert (await refusal(office.registry.resume("G22"))).name == "unavailable"
    confirmed[0] = True
    assert (await office.registry.resume("G22"))["changed"]


async def test_import_goes_on_where_it_was_refused(office: Office) -> None:
    rows = [{"code": f"G{n}", "old_code": f"000.00.00.G{n}", "name": f"Bộ {n}"} for n in range(10, 99)]
    rows += [{"code": f"G10.{n}", "name": "Cục"} for n in range(1000)]
    assert await office.registry.import_units(rows) == {"units": 1089, "changed": 1089}
    rows[3] = rows[3] | {"name": "Bộ mới"}
    assert await office.registry.import_units(rows) == {"units": 1089, "changed": 1}
    shown = await office.registry.show("G10")
    assert len(shown["children"]) == 1000
    for bad, place in (({"code": "", "name": "x"}, "row 2"), ({"code": "bad code", "name": "x"}, "row 2")):
        refused = await refusal(office.registry.import_units([rows[0], bad]))
        assert refused.name == "field_invalid"
        assert place in refused.detail


async def test_import_passes_on_what_is_no_refusal(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(office.world.sequencer, "submit", fail)
    with pytest.raises(OSError, match="gone"):
        await office.registry.import_units([{"code": "G10", "name": "x"}])


async def test_lists_and_shows(office: Office) -> None:
    await office.registry.add("G22", "Văn phòng")
    await office.registry.add("G22.A", "Vụ A")
    tls, sign = KeyPair.new(), KeyPair.new()
    await office.enrol("G22", tls, sign)
    await office.registry.suspend("G22.A", "test")
    listed = (await office.registry.units())["organisations"]
    assert [(row["code"], row["parent"], row["state"], row["hosted_by"]) for row in listed] == [
        ("G22", None, "active", "G22"),
        ("G22.A", "G22", "suspended", "G22"),
    ]
    shown = await office.registry.show("G22")
    assert shown["children"] == ["G22.A"]
    assert [row["usage"] for row in shown["certificates"]] == ["tls", "sign"]
    assert (await office.registry.resume("G22.A")) == {"code": "G22.A", "changed": True}
    assert (await refusal(office.registry.show("X1"))).name == "sender_not_registered"


async def test_certificates_have_states(office: Office) -> None:
    await office.registry.add("G22", "Văn phòng")
    await office.enrol("G22", KeyPair.new(), KeyPair.new())
    tls, sign = (await office.registry.certificates())["certificates"]
    assert (tls["state"], sign["state"], tls["hierarchy"]) == ("active", "active", "development")
    answer = await office.registry.revoke("0x" + sign["serial"].upper(), "key-compromise")
    assert answer == {"serial": sign["serial"], "org": "G22", "usage": "sign", "changed": True}
    assert not (await office.registry.revoke(sign["serial"], "superseded"))["changed"]
    assert office.issuer is not None
    on_list = {row["serial"]: row for row in await office.issuer.listed()}
    assert on_list[sign["serial"]]["reason"] == "keyCompromise"
    office.world.clock.advance(3 * 365 * DAY)
    states = [row["state"] for row in (await office.registry.certificates())["certificates"]]
    assert states == ["expired", "revoked"]
    assert (await refusal(office.registry.revoke("ab", "superseded"))).name == "certificate_unknown"


async def test_the_same_keys_get_the_same_certificates(office: Office) -> None:
    await office.registry.add("G22", "Văn phòng")
    tls, sign = KeyPair.new(), KeyPair.new()
    first = await office.enrol("G22", tls, sign)
    assert await office.enrolment.enrol(office.request(tls, sign)) == first
    assert first.code == "G22"
    assert read_certificate(first.sign_certificate).usage == "sign"
    assert office.enrolment.trust().axis_id == office.anchors.axis_id


async def test_two_nodes_that_race_with_one_token(office: Office) -> None:
    await office.registry.add("G22", "Văn phòng")
    await office.enrolment.token("G22")
    requests = [office.request(KeyPair.new(), KeyPair.new()) for _ in range(2)]
    answers = await asyncio.gather(*map(office.enrolment.enrol, requests), return_exceptions=True)
    assert [type(a).__name__ for a in answers] == ["EnrolResponse", "Refusal"]
    assert len((await office.registry.certificates())["certificates"]) == 2


async def test_without_an_issuer_enrolment_is_for_later(authority: Authority) -> None:
    async with flow_world() as world:
        office = Office(world, authority, None)
        await office.registry.add("G22", "Văn phòng")
        assert (await refusal(office.enrol("G22", KeyPair.new(), KeyPair.new()))).name == "unavailable"
        assert await office.enrolment.reconcile() == 0
        await office.enrolment.tell_issuer("ab", "superseded", 1)
        assert not office.enrolment.can_issue
        requests = (KeyPair.new().request(), KeyPair.new().request())
        assert (await refusal(office.enrolment.renew_axis(*requests, ["localhost"]))).name == "unavailable"


async def test_the_axis_s_own_certificates_are_journalled_once(office: Office) -> None:
    assert office.enrolment.can_issue
    requests = (KeyPair.new().request(), KeyPair.new().request())
    made = await office.enrolment.renew_axis(*requests, ["axis.example"])
    facts = [state.certificate(office.world.journal, info.sha256) for info in made]
    assert [(fact.organisation, fact.usage) for fact in facts if fact] == [("axis", "tls"), ("axis", "sign")]
    head = office.world.journal.head()
    assert await office.enrolment.renew_axis(*requests, ["axis.example"]) == made
    assert office.world.journal.head() == head


async def test_reconcile_brings_both_lists_together(office: Office) -> None:
    """The issuer has certificates and a revocation that the journal lacks, and lacks one that it has."""
    issuer = office.issuer
    assert issuer is not None
    await office.enrolment.reconcile()
    keys = [KeyPair.new() for _ in range(4)]
    lost = await issuer.issue(
        organisation="H26", tls_request=keys[0].request(), sign_request=keys[1].request()
    )
    await issuer.revoke(read_certificate(lost[0]).serial, "superseded", 5)
    await office.registry.add("G22", "Văn phòng")
    known = await office.enrol("G22", keys[2], keys[3])
    issuer.reachable = False
    await office.registry.revoke(read_certificate(known.sign_certificate).serial, "keyCompromise")
    issuer.reachable = True
    issuer.extra = [{"certificate": b"garbage"}, {"certificate": None}]
    assert await office.enrolment.reconcile() == 3
    restored = [state.certificate(office.world.journal, read_certificate(der).sha256) for der in lost]
    assert [fact is not None and bool(fact.revoked_sequence) for fact in restored] == [True, False]
    assert restored[0] is not None
    assert (restored[0].revoked_at, restored[0].revocation_reason) == (5, "superseded")
    reasons = {row.get("serial"): row.get("reason") for row in await issuer.listed()}
    assert reasons[read_certificate(known.sign_certificate).serial] == "keyCompromise"
    assert await office.enrolment.reconcile() == 0, "nothing is left to do"


async def test_a_unit_that_is_registered_again_after_a_restore_has_its_node(office: Office) -> None:
    """The journal is older than the issuer's list: the certificates come first, the unit later."""
    assert office.issuer is not None
    await office.registry.add("G22", "Văn phòng")
    await office.issuer.issue(
        organisation="G22.01", tls_request=KeyPair.new().request(), sign_request=KeyPair.new().request()
    )
    assert await office.enrolment.reconcile() >= 2
    await office.registry.add("G22.01", "Vụ Hành chính", "G22", [])
    assert state.host_of(office.world.journal, "G22.01") == "G22.01"


async def test_a_revocation_without_a_reason_has_one_in_the_journal(office: Office) -> None:
    issuer = office.issuer
    assert issuer is not None
    pair = await issuer.issue(
        organisation="H27", tls_request=KeyPair.new().request(), sign_request=KeyPair.new().request()
    )
    await office.enrolment.reconcile()
    info = read_certificate(pair[0])
    await office.enrolment._reconcile_one(info, 7, "")
    fact = state.certificate(office.world.journal, info.sha256)
    assert fact is not None
    assert fact.revocation_reason == "unspecified"


class TestPeers:
    async def test_who_calls(self, office: Office) -> None:
        peers = Peers(office.anchors, office.world.journal, office.world.clock)
        office.world.journal.on_landed(peers.landed)
        await office.registry.add("G22", "Văn phòng")
        given = await office.enrol("G22", KeyPair.new(), KeyPair.new())
        peer = await peers.authenticate(given.tls_certificate)
        assert peer.organisation == "G22"
        assert peers.contacts() == {"G22": office.world.clock.now()}
        peers.check(peer)
        for certificate_der, code in (
            (None, "certificate_unknown"),
            (given.sign_certificate, "certificate_wrong_usage"),
        ):
            with pytest.raises(Refusal) as caught:
                await peers.authenticate(certificate_der)
            assert caught.value.name == code
        assert office.issuer is not None
        unknown = await office.issuer.issue(
            organisation="H28", tls_request=KeyPair.new().request(), sign_request=KeyPair.new().request()
        )
        with pytest.raises(Refusal, match="certificate_unknown"):
            await peers.authenticate(unknown[0])
        await office.world.do(RecordCertificate(read_certificate(unknown[0])))
        with pytest.raises(Refusal, match="sender_not_registered"):
            peers.check(await peers.authenticate(unknown[0]))
        await office.world.do(Revoke(read_certificate(given.tls_certificate).serial, "superseded"))
        with pytest.raises(Refusal, match="certificate_revoked"):
            peers.check(peer)


class TestDeliveries:
    """The operator's and the deadlines' acts, and who may download."""

    async def test_close_and_requeue(self, office: Office) -> None:
        for code in ("G22", "G14"):
            await office.world.unit(code, node=True)
        document_id = await office.world.send("G22", "G14")
        closed = await office.registry.close(document_id, "G14", "given up")
        assert closed == {"document_id": document_id, "to": "G14", "attempt": 1, "host": "G14"}
        opened = await office.registry.requeue(document_id, "G14", "again")
        assert opened["attempt"] == 2
        assert (await refusal(office.registry.requeue(document_id, "G14"))).name == "field_invalid"

    async def test_nobody_takes_it_for_30_days(self, office: Office) -> None:
        world = office.world
        for code in ("G22", "G14", "H26"):
            await world.unit(code, node=True)
        deadlines = Deadlines(world.journal, world.sequencer, world.clock)
        old = await world.send("G22", "G14", "H26")
        await world.give(old, "H26")
        world.clock.advance(DAY)
        young = await world.send("G22", "G14")
        assert await deadlines.tick() == 0
        assert deadlines.in_flight == 2
        world.clock.advance(DELIVERY_LIFE_MS - DAY)
        assert await deadlines.tick() == 1
        assert await deadlines.tick() == 0
        assert deadlines.in_flight == 1
        notice = open_envelope(world.records()[-1].noticed.notice, Kind.NOTICE)
        assert (notice.document_id, notice.recipient_unit) == (old, "G14")
        assert notice.kind == evidence_pb2.NOTICE_KIND_DEAD
        world.clock.advance(DAY)
        world.journal.full = True
        assert await deadlines.tick() == 0, "later, when there is room"
        world.journal.full = False
        deadlines._open.add(f"delivery-open/{0:013d}/{old}/G14")
        assert await deadlines.tick() == 1, "one that is closed already stops no other"
        assert young != old

    async def test_it_looks_once_a_minute(self, office: Office) -> None:
        world = office.world
        for code in ("G22", "G14"):
            await world.unit(code, node=True)
        deadlines = Deadlines(world.journal, world.sequencer, world.clock)
        running = asyncio.create_task(deadlines.run())
        await world.send("G22", "G14")
        before = world.journal.head().sequence
        world.clock.advance(DELIVERY_LIFE_MS + 60_000)
        await world.journal.changed(before, 5)
        assert world.records()[-1].HasField("noticed")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def test_only_parties_download(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        world = office.world
        for code in ("G22", "G14", "H26"):
            await world.unit(code, node=True)
        await world.unit("X1")
        document = world.document("G22", ["G14", "X1"])
        document.message.attachments.add(name="a.pdf", size=3, sha256=bytes(32), media_type="application/pdf")
        from axis.core.commands import Accept
        from tests.world import verified

        document = verified(Kind.DOCUMENT, document.message, document.signer)
        await world.do(Accept(document, "G22"))
        document_id = document.message.document_id
        downloads = Downloads(world.journal)
        monkeypatch.setattr("axis.flow.downloads._REMEMBERED", 1)

        def find(code: str, number: int = 0, wanted: str = document_id) -> str:
            try:
                return downloads.find(wanted, number, Peer(code, b"")).media_type
            except Refusal as refused:
                return refused.name

        assert find("G22") == find("G14") == "application/pdf"
        assert find("H26") == find("G14", 1) == find("G14", 0, "nonsense") == "document_unknown"
        other = await world.send("G22", "G14")
        assert find("G14", 0, other) == "document_unknown", "it has no attachments"
        # Requeued after X1 came under another host: the new host is a party from then on.
        await office.registry.close(document_id, "X1", "no node")
        await office.registry.add("X1", "Unit X1", parent="H26")
        assert find("H26") == "document_unknown"
        await office.registry.requeue(document_id, "X1")
        assert find("H26") == "application/pdf"
        assert certificate("G22").organisation == "G22"
