"""A packet's own signature, beside the document at both ends; and nodes that refuse an invalid one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agencies import config
from tests.support.country import Country, country_in
from tests.support.edxml import SAMPLES
from tests.support.xmlsec import XmlSigner

UNITS = ("G14", "G22", "H14", "H41", "H53")
ZIPPED = (SAMPLES / "new-zip.edxml").read_bytes()
SUBJECT = "CN=Van thu mau,C=VN"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return XmlSigner.make(tmp_path_factory.mktemp("signer")).sign(ZIPPED)


@pytest.fixture
def changed(signed: bytes) -> bytes:
    return signed.replace(b"Subject>V/v", b"Subject>X/v")


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in UNITS:
            old = {"old_codes": [f"000.00.00.{code}"]}
            if code in ("G22", "H41"):
                await made.join(code, **old)
            else:
                await made.token(code, **old)
        yield made


async def start(country: Country, code: str, packet_signature: str = "report") -> None:
    home = country.folder / code
    update = {"packet_signature": packet_signature}
    config.save(home, config.load(home).model_copy(update=update))
    await country.start(code)


async def hand_in(country: Country, packet: bytes, status: int = 202) -> Any:
    return await country.json("POST", "G22", "/v1/edxml", status, data=packet)


async def test_both_ends_show_what_was_made_of_it(country: Country, signed: bytes, changed: bytes) -> None:
    await start(country, "G22")
    await start(country, "H41")
    large = signed.replace(b"<edXML:Subject>", b"<!--" + b"x" * 100_000 + b"--><edXML:Subject>")
    expected = {signed: "valid", large: "valid", changed: "invalid", ZIPPED: "absent"}
    for packet, outcome in expected.items():
        queued = await hand_in(country, packet)
        found = queued["packet_signature"]
        assert (found["outcome"], found["signer"]) == (outcome, SUBJECT if outcome != "absent" else "")
        got = await country.arrived("H41", queued["document_id"])
        assert (got["packet_signature"], got["state"], got["code"]) == (found, "received", "")
        one = await country.json("GET", "H41", f"/v1/inbox/{queued['document_id']}")
        assert one["packet_signature"] == found
        kept = await country.json("GET", "G22", f"/v1/documents/{queued['document_id']}")
        assert kept["packet_signature"] == found
    queued = await country.post("G22", {"to": ["H41"], "subject": "S"}, b"%PDF-1.7")
    assert (await country.arrived("H41", queued["document_id"]))["packet_signature"] is None
    kept = await country.json("GET", "G22", f"/v1/documents/{queued['document_id']}")
    assert kept["packet_signature"] is None


async def test_the_commands_say_it(country: Country, signed: bytes) -> None:
    await start(country, "G22")
    await start(country, "H41")
    file = country.folder / "packet.edxml"
    file.write_bytes(signed)
    sent = await command(country, "G22", "send-edxml", str(file))
    assert f"signature: valid: it holds over the whole packet ({SUBJECT})" in sent.stderr
    document_id = sent.stdout.strip()
    await country.arrived("H41", document_id)
    said = await command(country, "H41", "status", document_id, "03")
    assert said.stderr.startswith("03 Đã tiếp nhận (accepted")
    shown = json.loads((await command(country, "H41", "show", document_id)).stdout)
    assert shown["packet_signature"]["outcome"] == "valid"
    assert shown["deliveries"][0]["statuses"][0]["meaning"].startswith("03 Đã tiếp nhận")


async def command(country: Country, code: str, *arguments: str) -> Any:
    call = [sys.executable, "-m", "agencies.cli", *arguments, "--home", str(country.folder / code)]
    return await asyncio.to_thread(
        subprocess.run, call, capture_output=True, text=True, check=True, timeout=60
    )


async def test_a_status_message_has_one_too(country: Country, signed: bytes, tmp_path: Path) -> None:
    await start(country, "G22")
    await start(country, "H41", "refuse")
    await hand_in(country, signed)
    signer = XmlSigner.make(tmp_path / "their")
    status = signer.sign((SAMPLES / "status-03.edxml").read_bytes())
    said = await country.json("POST", "H41", "/v1/edxml", 202, data=status)
    assert said["packet_signature"]["outcome"] == "valid"
    async with asyncio.timeout(30):
        while not (page := await country.json("GET", "G22", "/v1/inbox?kind=status&wait=5"))["documents"]:
            pass
    assert page["documents"][0]["packet_signature"]["outcome"] == "valid"
    broken = status.replace(b"StatusCode>03", b"StatusCode>02")
    problem = await country.json("POST", "H41", "/v1/edxml", 422, data=broken)
    assert problem["code"] == "packet_signature_invalid"


async def test_a_node_that_refuses_sends_none_that_is_invalid(
    country: Country, signed: bytes, changed: bytes
) -> None:
    await start(country, "G22", "refuse")
    problem = await hand_in(country, changed, 422)
    assert (problem["code"], problem["temporary"]) == ("packet_signature_invalid", False)
    assert (problem["element"], "changed" in problem["detail"]) == ("Signature", True)
    assert (await country.json("GET", "G22", "/v1/documents"))["documents"] == []
    for packet, outcome in ((signed, "valid"), (ZIPPED, "absent")):
        assert (await hand_in(country, packet))["packet_signature"]["outcome"] == outcome


async def test_a_node_that_refuses_receipts_it_as_refused_and_takes_it_once_it_reports(
    country: Country, signed: bytes, changed: bytes
) -> None:
    await start(country, "G22")
    await start(country, "H41", "refuse")
    good = (await hand_in(country, signed))["document_id"]
    bad = (await hand_in(country, changed))["document_id"]
    assert (await country.arrived("H41", good))["state"] == "received"
    got = await country.arrived("H41", bad)
    assert (got["state"], got["code"]) == ("refused", "packet_signature_invalid")
    assert (got["packet_signature"]["outcome"], got["attachments"]) == ("invalid", [])
    one = await country.json("GET", "H41", f"/v1/inbox/{bad}")
    assert one["header"]["fields"]["subject"].startswith("X/v")
    receipt = await _receipt(country, bad, "refused")
    assert receipt["reason"] == "packet_signature_invalid"
    # The operator and the receiver agree to take it after all.
    await country.nodes["H41"].stop()
    await start(country, "H41", "report")
    await country.operator("document.requeue", document_id=bad, to="H41")
    await _receipt(country, bad, "received")
    one = await country.json("GET", "H41", f"/v1/inbox/{bad}")
    assert (one["state"], one["code"], len(one["attachments"])) == ("received", "", 2)


async def _receipt(country: Country, document_id: str, outcome: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            found = await country.json("GET", "G22", f"/v1/documents/{document_id}?wait=1")
            (one,) = [d for d in found["deliveries"] if d["to"] == "H41"] or [{"state": ""}]
            if one["state"] == outcome:
                return one["receipt"]
            await country.nodes["G22"].parts.events.beyond(country.nodes["G22"].parts.events.newest, 0.2)
