"""Two real agency nodes and a real axis, over TLS, in one process with the production wiring."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from axispb.v1 import journal_pb2

from agencies import config, keys
from agencies.clock import SystemClock
from agencies.link import enrol
from axis.core.errors import Refusal
from axis.views.volumes import FIELDS, Kind, Selection, volumes
from tests.support.country import LIMIT, Country, country_in


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        yield made


async def two(country: Country) -> None:
    for code in ("G14", "G22"):
        await country.join(code)
        await country.start(code)


async def test_a_document_travels_and_its_receipt_comes_back(country: Country) -> None:
    await two(country)
    contents = (b"%PDF-1.7 " + bytes(100_000), b"second", b"")
    request = {"to": ["G22"], "subject": "Quyết định", "number": "274", "notation": "QĐ-TTg", "priority": 2}
    queued = await country.post("G14", request, *contents)
    assert queued["state"] == "queued"
    document_id = queued["document_id"]

    sent = await country.outcome("G14", document_id)
    assert sent["state"] == "delivered"
    (delivery,) = sent["deliveries"]
    assert (delivery["to"], delivery["state"], delivery["receipt"]["outcome"]) == (
        "G22",
        "received",
        "received",
    )

    got = await country.arrived("G22", document_id)
    assert (got["from"], got["to"], got["number"], got["state"]) == ("G14", ["G22"], "274/QĐ-TTg", "received")
    assert got["urgent"]
    for number, content in enumerate(contents):
        url = f"{country.nodes['G22'].api_url}/v1/inbox/{document_id}/attachments/{number}"
        async with country.session.get(url) as response:
            assert await response.read() == content
            assert response.headers["Content-Type"] == "application/pdf"
            assert f"T%E1%BB%87p%20{number}.pdf" in response.headers["Content-Disposition"]
    await volumes_agree(country)


async def volumes_agree(country: Country) -> None:
    views = country.axis.node.views
    assert await views.reached(country.axis.node.journal.head().sequence, LIMIT)
    for kind in get_args(Kind):
        reader = views.reader()
        try:
            found: Any = volumes(reader, Selection(kind=kind), country.axis.node.clock.now())
        finally:
            reader.close()
        of_axis = {row["code"]: row for row in found["rows"]}
        for code in country.nodes:
            rows = (await country.json("GET", code, f"/v1/volumes?kind={kind}"))["rows"]
            (row,) = [row for row in rows if row["code"] == code]
            for name in FIELDS:
                assert row[name] == of_axis[code][name], (kind, code, name)


async def test_idempotency_over_http(country: Country) -> None:
    await two(country)
    headers = {"Idempotency-Key": "k1"}
    first = await country.post("G14", {"to": ["G22"], "subject": "Một", "priority": 1}, b"x", headers=headers)
    same = await country.post(
        "G14", {"subject": "Một", "priority": 1.0, "to": ["G22"]}, b"x", headers=headers
    )
    assert same == first
    for request, content in (
        ({"to": ["G22"], "subject": "Hai"}, b"x"),
        ({"to": ["G22"], "subject": "Một"}, b"y"),
    ):
        refused = await country.post("G14", request, content, headers=headers, status=422)
        assert refused["code"] == "idempotency_conflict"
    assert len((await country.json("GET", "G14", "/v1/documents"))["documents"]) == 1


async def test_bad_recipients_are_named_and_nothing_is_sent(country: Country) -> None:
    await two(country)
    refused = await country.post("G14", {"to": ["G22", "X9", "X8"], "subject": "?"}, status=422)
    assert (refused["code"], refused["recipients"]) == (
        "recipient_unknown",
        {"X9": "recipient_unknown", "X8": "recipient_unknown"},
    )
    twice = await country.post("G14", {"to": ["G22", "G22"], "subject": "?"}, status=422)
    assert twice["code"] == "recipient_duplicate"
    # Registered a moment ago: the node looks again before it refuses.
    await country.operator("org.add", code="X9", name="New")
    queued = await country.post("G14", {"to": ["X9"], "subject": "!"})
    async with asyncio.timeout(LIMIT):
        while (await country.json("GET", "G14", f"/v1/documents/{queued['document_id']}"))[
            "state"
        ] == "queued":
            await country.nodes["G14"].parts.events.beyond(country.nodes["G14"].parts.events.newest, 5)
    assert (await country.json("GET", "G14", f"/v1/documents/{queued['document_id']}"))["state"] == "accepted"


async def test_what_waits_for_an_enrolment_arrives_after_it(country: Country) -> None:
    await country.join("G14")
    await country.start("G14")
    token = await country.token("G22")
    queued = await country.post("G14", {"to": ["G22"], "subject": "Sớm"}, b"early")
    await enrol.init(country.folder / "G22", token, SystemClock(), api="127.0.0.1:0")
    await country.start("G22")
    assert (await country.outcome("G14", queued["document_id"]))["state"] == "delivered"


async def test_a_unit_without_a_node_is_hosted_by_its_parents(country: Country) -> None:
    await two(country)
    await country.operator("org.add", code="G22.VXP", name="Desk", parent="G22")
    queued = await country.post("G14", {"to": ["G22.VXP", "G22"], "subject": "Hai đơn vị"}, b"one")
    sent = await country.outcome("G14", queued["document_id"])
    assert {delivery["to"]: delivery["host"] for delivery in sent["deliveries"]} == {
        "G22": "G22",
        "G22.VXP": "G22",
    }
    back = await country.post("G22", {"from": "G22.VXP", "to": ["G14"], "subject": "Trả lời"})
    assert (await country.outcome("G22", back["document_id"]))["from"] == "G22.VXP"
    wrong = await country.post("G14", {"from": "G22.VXP", "to": ["G22"], "subject": "?"}, status=403)
    assert wrong["code"] == "not_host_of_unit"
    await volumes_agree(country)


async def test_software_receipts_wait_for_the_software(country: Country) -> None:
    await two(country)
    await country.nodes["G22"].stop()
    settings = config.load(country.folder / "G22").model_copy(update={"receipt": "software"})
    config.save(country.folder / "G22", settings)
    await country.start("G22")
    queued = await country.post("G14", {"to": ["G22"], "subject": "Chờ"}, b"?")
    document_id = queued["document_id"]
    assert (await country.arrived("G22", document_id))["state"] == "waiting"
    path = f"/v1/inbox/{document_id}/receipt"
    refusal = {"outcome": "refused", "reason": "gửi nhầm"}
    assert (await country.json("POST", "G22", path, json=refusal))["state"] == "refused"
    sent = await country.outcome("G14", document_id)
    assert sent["state"] == "refused"
    assert sent["deliveries"][0]["receipt"]["reason"] == "gửi nhầm"
    assert (await country.json("POST", "G22", path, json=refusal))["state"] == "refused"
    other = await country.json("POST", "G22", path, status=409, json={"outcome": "received"})
    assert other["code"] == "outcome_conflict"


async def test_requeue_and_close_reach_both_nodes(country: Country) -> None:
    await country.join("G14")
    await country.start("G14")
    token = await country.token("G22")
    document_id = (await country.post("G14", {"to": ["G22"], "subject": "Dài"}, b"!"))["document_id"]
    await until(lambda: accepted(country, document_id))
    await country.operator("document.close", document_id=document_id, to="G22", reason="đóng")
    assert (await country.outcome("G14", document_id))["state"] == "dead"
    await enrol.init(country.folder / "G22", token, SystemClock(), api="127.0.0.1:0")
    await country.operator("document.requeue", document_id=document_id, to="G22", reason="lại")
    await country.start("G22")
    await until(lambda: delivered(country, document_id))
    found = await country.json("GET", "G22", f"/v1/inbox/{document_id}")
    assert [(d["attempt"], d["state"]) for d in found["deliveries"]] == [(1, "received"), (2, "received")]
    await until(lambda: settled(country, document_id))
    await volumes_agree(country)


async def test_what_a_suspended_sender_sends_is_found_at_the_axis(country: Country) -> None:
    await two(country)
    await country.operator("org.suspend", code="G14", reason="thử")
    document_id = (await country.post("G14", {"to": ["G22"], "subject": "Bị dừng"}, b"!"))["document_id"]
    refused = await country.outcome("G14", document_id)
    assert (refused["state"], refused["code"]) == ("rejected", "sender_suspended")
    records = [
        journal_pb2.Record.FromString(record)
        for frame in country.axis.node.journal.frames(0, 1000)
        for record in frame.records
    ]
    assert ("sender_suspended", document_id) in [(r.rejected.code, r.rejected.document_id) for r in records]


async def accepted(country: Country, document_id: str) -> bool:
    return bool((await country.json("GET", "G14", f"/v1/documents/{document_id}"))["state"] == "accepted")


async def delivered(country: Country, document_id: str) -> bool:
    found = await country.json("GET", "G14", f"/v1/documents/{document_id}")
    return bool(found["state"] == "delivered" and found["deliveries"][0]["attempt"] == 2)


async def settled(country: Country, document_id: str) -> bool:
    found = await country.json("GET", "G22", f"/v1/inbox/{document_id}")
    return {d["receipt"] for d in found["deliveries"]} == {"taken", "stopped"} and not (
        await country.json("GET", "G22", "/v1/node")
    )["held"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_new_token_gives_new_keys_to_a_running_node(country: Country) -> None:
    await two(country)
    home = country.folder / "G14"
    before = keys.load_credentials(home).certificate_sha256
    token = (await country.operator("org.token", code="G14"))["token"]
    from agencies.commands.local_node import initialise

    await initialise(home, token, (), None)
    assert keys.load_credentials(home).certificate_sha256 != before
    queued = await country.post("G14", {"to": ["G22"], "subject": "Khóa mới"}, b"new")
    assert (await country.outcome("G14", queued["document_id"]))["state"] == "delivered"
    # The same token again gives the same certificates; another home's keys do not.
    with pytest.raises(Refusal) as used:
        await enrol.init(country.folder / "thief", token, SystemClock())
    assert used.value.name == "token_used"


async def test_openssl_accepts_what_the_stores_hold(country: Country) -> None:
    await two(country)
    queued = await country.post("G14", {"to": ["G22"], "subject": "Chữ ký"}, b"signed")
    await country.outcome("G14", queued["document_id"])
    with contextlib.closing(sqlite3.connect(country.folder / "G14" / "agency.sqlite")) as store:
        document = store.execute("SELECT signed, signature FROM sent").fetchone()
        acceptance = store.execute("SELECT acceptance_signed, acceptance_signature FROM sent").fetchone()
        receipt = store.execute("SELECT evidence_signed, evidence_signature FROM sent_delivery").fetchone()
    keys_folder = country.axis_home / "keys"
    for name, (signed, signature) in {"d": document, "a": acceptance, "r": receipt}.items():
        (country.folder / f"{name}.bin").write_bytes(signed)
        (country.folder / f"{name}.p7s").write_bytes(signature)
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"{name}.p7s"]
        command += ["-content", f"{name}.bin", "-CAfile", str(keys_folder / "anchors.pem")]
        command += ["-certfile", str(keys_folder / "chain.pem"), "-purpose", "any", "-no_check_time"]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "-out", "/dev/null"],
            cwd=country.folder,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (name, done.stderr)


async def test_the_secret_goes_to_nobody_but_the_tokens_axis(country: Country) -> None:
    token = await country.token("G14")
    members = json.loads(enrol._unpadded(token.removeprefix("axis1.")))
    members["anchor_sha256"] = "00" * 32
    forged = "axis1." + base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
    with pytest.raises(Refusal) as refused:
        await enrol.init(country.folder / "G14", forged, SystemClock())
    assert refused.value.name == "token_invalid"
    assert "another anchor" in refused.value.detail
    assert not (country.folder / "G14" / "agency.toml").exists()
    # Nothing was used up: the true token still works, and works again.
    for _ in range(2):
        settings = await enrol.init(country.folder / "G14", token, SystemClock())
    assert settings.code == "G14"
    for name in ("tls.key", "sign.key"):
        (key,) = (country.folder / "G14" / "keys").glob(f"*/{name}")
        assert key.stat().st_mode & 0o777 == 0o600
