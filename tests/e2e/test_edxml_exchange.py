"""edXML packets through two agency nodes and the axis: what was handed in comes out, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agencies.edxml.packet import DocumentPacket
from agencies.edxml.reader import read_packet
from tests.support.country import Country, country_in
from tests.support.edxml import SAMPLES, scratch

#: Codes as the samples write them; each is the old code of a unit.
UNITS = ("G14", "G22", "H14", "H41", "H53")
GOOD = sorted(path.stem for path in SAMPLES.glob("*.edxml") if path.stem[:3] in ("new", "rec", "rep", "upd"))


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in UNITS:
            old = {"old_codes": [f"000.00.00.{code}"]}
            if code in ("G14", "G22", "H41"):
                await made.join(code, **old)
                await made.start(code)
            else:
                await made.token(code, **old)
        yield made


async def hand_in(country: Country, sender: str, packet: bytes, status: int = 202, **headers: str) -> Any:
    return await country.json("POST", sender, "/v1/edxml", status, data=packet, headers=headers)


async def packet_of(country: Country, code: str, path: str) -> bytes:
    url = f"{country.nodes[code].api_url}{path}/edxml"
    async with country.session.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def test_every_good_sample_comes_out_as_it_was_handed_in(country: Country) -> None:
    assert len(GOOD) >= 6
    for name in GOOD:
        packet = (SAMPLES / f"{name}.edxml").read_bytes()
        read, _ = read_packet([packet], scratch)
        sender = read.sender.rpartition(".")[2]
        queued = await hand_in(country, sender, packet)
        document_id = queued["document_id"]
        got = await country.arrived("H41", document_id)
        assert got["from"] == sender
        assert await packet_of(country, "H41", f"/v1/inbox/{document_id}") == packet
        assert await packet_of(country, sender, f"/v1/documents/{document_id}") == packet
        assert isinstance(read, DocumentPacket)
        *files, whole = got["attachments"]
        assert [(f["name"], f["sha256"]) for f in files] == [
            (a.name, a.sha256.hex()) for a in read.attachments
        ]
        assert whole["sha256"] == hashlib.sha256(packet).hexdigest()
        header = (await country.json("GET", "H41", f"/v1/inbox/{document_id}"))["header"]["fields"]
        assert header["subject"] == read.fields.subject
        assert header["issuer_document_id"] == read.fields.issuer_document_id


async def test_every_status_sample_comes_out_as_it_was_handed_in(country: Country) -> None:
    statuses = sorted(SAMPLES.glob("status-*.edxml"))
    assert len(statuses) >= 9
    await hand_in(country, "G22", (SAMPLES / "new-zip.edxml").read_bytes())
    for path in statuses:
        packet = path.read_bytes()
        sender, receiver = ("G22", "H41") if path.stem == "status-13" else ("H41", "G22")
        queued = await hand_in(country, sender, packet)

        def came(page: Any, status_id: str = queued["document_id"]) -> bool:
            return status_id in [one["document_id"] for one in page["documents"]]

        await country.until(receiver, "/v1/inbox?kind=status&limit=500", came)
        assert await packet_of(country, receiver, f"/v1/inbox/{queued['document_id']}") == packet


async def test_the_axis_counts_a_packet_as_the_document_it_is(country: Country) -> None:
    packet = (SAMPLES / "new-zip.edxml").read_bytes()
    queued = await hand_in(country, "G22", packet)
    await country.arrived("H41", queued["document_id"])
    shown = await asyncio.to_thread(_shown, country, queued["document_id"])
    assert sorted(delivery["to"] for delivery in shown["deliveries"]) == ["H14", "H41", "H53"]
    assert shown["from"] == "G22"


def _shown(country: Country, document_id: str) -> Any:
    import json
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "axis.cli", "show", document_id, "--home", str(country.axis_home), "--json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


async def test_every_bad_sample_is_refused_and_nothing_is_sent(country: Country) -> None:
    bad = sorted(SAMPLES.glob("bad-*.edxml"))
    assert len(bad) >= 9
    for path in bad:
        problem = await hand_in(country, "G22", path.read_bytes(), 422)
        assert problem["code"] == "field_invalid", path.stem
        assert problem["vxp"] in (21, 22)
        assert problem["line"] >= 1
        assert problem["element"] in problem["detail"]
    assert (await country.json("GET", "G22", "/v1/documents"))["documents"] == []


async def test_the_same_key_sends_once_and_another_packet_under_it_is_refused(country: Country) -> None:
    packet = (SAMPLES / "new-zip.edxml").read_bytes()
    key = {"Idempotency-Key": "k"}
    first = await hand_in(country, "G22", packet, **key)
    assert await hand_in(country, "G22", packet, **key) == first
    problem = await hand_in(country, "G22", packet + b"\n", 422, **key)
    assert problem["code"] == "idempotency_conflict"


async def test_a_packet_for_somebody_unknown_or_from_somebody_else_is_refused(country: Country) -> None:
    packet = (SAMPLES / "new-zip.edxml").read_bytes()
    problem = await hand_in(country, "G22", packet.replace(b"000.00.00.H14", b"000.00.00.X14"), 422)
    assert problem["code"] == "recipient_unknown"
    assert "000.00.00.X14" in problem["detail"]
    problem = await hand_in(country, "H41", packet, 403)
    assert problem["code"] == "not_host_of_unit"


async def test_a_unit_that_is_named_twice_gets_it_once(country: Country) -> None:
    packet = (SAMPLES / "new-zip.edxml").read_bytes()
    again = b"<edXML:To><edXML:OrganId>%s</edXML:OrganId></edXML:To>"
    end = b"<edXML:DocumentId>"
    twice = packet.replace(end, again % b"H41" + again % b"000.00.00.H53" + again % b"" + end, 1)
    key = {"Idempotency-Key": "twice"}
    queued = await hand_in(country, "G22", twice, **key)
    assert [warning for warning in queued["warnings"] if "sent once" in warning] == [
        "To: H41 is named already, as 000.00.00.H41; it is sent once",
        "To: 000.00.00.H53 is named already, as 000.00.00.H53; it is sent once",
    ]
    assert await hand_in(country, "G22", twice, **key) == queued
    got = await country.arrived("H41", queued["document_id"])
    assert got["to"] == ["H41"]
    assert await packet_of(country, "H41", f"/v1/inbox/{queued['document_id']}") == twice
    sent = await country.json("GET", "G22", f"/v1/documents/{queued['document_id']}")
    assert sorted(sent["to"]) == ["H14", "H41", "H53"]
    # Who hands in fields meant what they wrote: there it stays an error.
    form = {"to": ["H41", "000.00.00.H41"], "subject": "S"}
    problem = await country.post("G22", form, b"%PDF-1.7", status=422)
    assert problem["code"] == "recipient_duplicate"


async def test_a_header_that_says_too_much_of_its_recipients_keeps_their_codes(country: Country) -> None:
    address = "Số 3 Trường Thi, Vinh".encode()
    packet = (SAMPLES / "recall.edxml").read_bytes()
    assert address in packet
    packet = packet.replace(address, address * 6000)
    queued = await hand_in(country, "G22", packet)
    assert "To" in queued["warnings"][0]
    document_id = queued["document_id"]
    await country.arrived("H41", document_id)
    assert await packet_of(country, "H41", f"/v1/inbox/{document_id}") == packet
    header = (await country.json("GET", "H41", f"/v1/inbox/{document_id}"))["header"]["fields"]
    assert [contact["organ_id"] for contact in header["to"]] == ["000.00.00.H41", "000.00.00.H14"]


async def test_a_document_made_from_fields_is_written_for_who_asks(country: Country) -> None:
    request = {"to": ["H41"], "subject": "Báo cáo <tháng> & năm", "number": "09", "notation": "BC"}
    queued = await country.post("G22", request, b"%PDF-1.7 one", b"", bytes(100_000))
    await country.arrived("H41", queued["document_id"])
    path = f"/v1/inbox/{queued['document_id']}"
    packet = await packet_of(country, "H41", path)
    assert await packet_of(country, "H41", path) == packet
    read, contents = read_packet([packet], scratch)
    assert isinstance(read, DocumentPacket)
    assert (read.sender, read.recipients) == ("G22", ("H41",))
    assert read.fields.subject == "Báo cáo <tháng> & năm"
    assert [b"".join(content) for content in contents] == [b"%PDF-1.7 one", b"", bytes(100_000)]
    assert read.warnings == ()
