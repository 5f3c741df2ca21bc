"""Business statuses through two agency nodes and the axis: from fields, and as edXML byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agencies import config
from agencies.edxml.packet import StatusPacket
from agencies.edxml.reader import read_packet
from tests.support.country import Country, country_in
from tests.support.edxml import SAMPLES, scratch

DOCUMENT = (SAMPLES / "new-zip.edxml").read_bytes()


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    async with country_in(tmp_path) as made:
        for code in ("G22", "H41"):
            home = await made.join(code, old_codes=[f"000.00.00.{code}"])
            if code == "H41":  # its software decides
                settings = config.load(home)
                config.save(home, settings.model_copy(update={"receipt": "software"}))
            await made.start(code)
        for code in ("H14", "H53"):
            await made.token(code, old_codes=[f"000.00.00.{code}"])
        yield made


async def say(country: Country, node: str, path: str, status: int = 202, **said: str) -> Any:
    return await country.json("POST", node, f"{path}/statuses", status, json=said)


async def sent_document(country: Country) -> str:
    queued = await country.json("POST", "G22", "/v1/edxml", 202, data=DOCUMENT)
    document_id = str(queued["document_id"])
    await country.arrived("H41", document_id)
    await country.until("G22", f"/v1/documents/{document_id}", lambda page: page["state"] == "accepted")
    return document_id


def delivery_to(unit: str, page: Any) -> Any:
    return next(one for one in page["deliveries"] if one["to"] == unit)


async def heard(country: Country, node: str, path: str, unit: str, count: int) -> Any:
    """The statuses of one exchange, once there are so many."""

    def enough(page: Any) -> Any:
        statuses = delivery_to(unit, page)["statuses"]
        return statuses if len(statuses) >= count else None

    return await country.until(node, path, enough)


async def test_the_steps_of_an_exchange_are_heard_in_order_and_flagged_out_of_it(country: Country) -> None:
    document_id = await sent_document(country)
    inbox = f"/v1/inbox/{document_id}"
    for code in ("01", "03", "06", "04"):
        (one,) = (await say(country, "H41", inbox, code=code, note=f"ghi chú {code}"))["statuses"]
        assert (one["from"], one["to"], one["code"]) == ("H41", "G22", code)
        await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 1)
    at_sender = await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 4)
    assert [(one["code"], one["in_order"], one["note"]) for one in at_sender] == [
        ("01", True, "ghi chú 01"),
        ("03", True, "ghi chú 03"),
        ("06", True, "ghi chú 06"),
        ("04", False, "ghi chú 04"),
    ]
    at_receiver = await heard(country, "H41", inbox, "H41", 4)
    assert [one["code"] for one in at_receiver] == ["01", "03", "06", "04"]
    # A status is delivered and receipted like a document, and counted apart.
    await country.until(
        "G22",
        "/v1/volumes?kind=status",
        lambda page: (page["total"]["addressed"], page["total"]["received"]) == (4, 4),
    )


async def test_a_refusal_closes_the_delivery_with_its_reason(country: Country) -> None:
    document_id = await sent_document(country)
    await say(country, "H41", f"/v1/inbox/{document_id}", code="02", note="Sai nơi nhận")

    def closed(page: Any) -> Any:
        delivery = delivery_to("H41", page)
        return delivery if delivery["state"] != "in_flight" else None

    delivery = await country.until("G22", f"/v1/documents/{document_id}", closed)
    assert delivery["state"] == "refused"
    assert delivery["receipt"]["reason"] == "Sai nơi nhận"


async def test_a_document_is_asked_back_and_the_agreement_closes_the_delivery(country: Country) -> None:
    document_id = await sent_document(country)
    asked = await say(country, "G22", f"/v1/documents/{document_id}", code="13", note="nhầm", unit="H41")
    assert [(one["from"], one["to"]) for one in asked["statuses"]] == [("G22", "H41")]
    (one,) = await heard(country, "H41", f"/v1/inbox/{document_id}", "H41", 1)
    assert (one["code"], one["note"], one["from"]) == ("13", "nhầm", "G22")
    await say(country, "H41", f"/v1/inbox/{document_id}", code="15")
    at_sender = await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 2)
    assert [(one["code"], one["in_order"]) for one in at_sender] == [("13", True), ("15", True)]
    page = await country.json("GET", "H41", f"/v1/inbox/{document_id}")
    assert (page["state"], page["deliveries"][0]["reason"]) == ("refused", "recalled")


async def test_edxml_statuses_come_out_as_they_were_handed_in_and_are_tied_to_their_document(
    country: Country,
) -> None:
    document_id = await sent_document(country)
    for name in ("status-01", "status-03", "status-04"):
        packet = (SAMPLES / f"{name}.edxml").read_bytes()
        queued = await country.json("POST", "H41", "/v1/edxml", 202, data=packet)
        assert queued["warnings"] == []
        status_id = queued["document_id"]

        def came(page: Any, status_id: str = status_id) -> bool:
            return status_id in [one["document_id"] for one in page["documents"]]

        await country.until("G22", "/v1/inbox?kind=status&limit=500", came)
        url = f"{country.nodes['G22'].api_url}/v1/inbox/{status_id}/edxml"
        async with country.session.get(url) as response:
            assert await response.read() == packet
    statuses = await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 3)
    assert [one["code"] for one in statuses] == ["01", "03", "04"]
    assert statuses[0]["note"] == "Văn bản đã đến"
    page = await country.json("GET", "G22", "/v1/inbox")
    assert page["documents"] == []  # statuses are no documents


async def test_a_status_about_nothing_that_is_known_is_delivered_with_a_warning(country: Country) -> None:
    packet = (SAMPLES / "status-03.edxml").read_bytes()
    queued = await country.json("POST", "H41", "/v1/edxml", 202, data=packet)
    assert "ResponseFor" in queued["warnings"][0]
    sent = await country.outcome("H41", queued["document_id"])
    assert sent["state"] == "delivered"


async def test_a_status_finds_its_document_by_what_it_names(country: Country) -> None:
    document_id = await sent_document(country)
    packet = (SAMPLES / "status-03.edxml").read_bytes()
    name = b"000.00.00.G22,2020/07/20,5816/VPCP-KSTT"
    assert packet.count(name) == 1
    without_id = packet.replace(b"<edXML:DocumentId>" + name + b"</edXML:DocumentId>", b"")
    tied = [packet, packet.replace(name, document_id.encode()), without_id]
    other_number = packet.replace(b"<edXML:Code>5816/", b"<edXML:Code>5817/")
    other_year = without_id.replace(b"<edXML:PromulgationDate>2020", b"<edXML:PromulgationDate>2021")
    for said in (*tied, other_number, other_year, packet.replace(name, b"somebody's")):
        queued = await country.json("POST", "H41", "/v1/edxml", 202, data=said)
        assert bool(queued["warnings"]) != (said in tied), queued["warnings"]
    # Another document of the same name: it could mean either.
    await country.json("POST", "G22", "/v1/edxml", 202, data=DOCUMENT + b"\n")
    await country.until("H41", "/v1/inbox", lambda page: len(page["documents"]) == 2)
    queued = await country.json("POST", "H41", "/v1/edxml", 202, data=packet)
    assert "ResponseFor" in queued["warnings"][0]


async def test_a_status_from_fields_is_written_as_edxml_for_who_asks(country: Country) -> None:
    document_id = await sent_document(country)
    (said,) = (await say(country, "H41", f"/v1/inbox/{document_id}", code="03", note="Đã vào sổ"))["statuses"]
    url = f"{country.nodes['H41'].api_url}/v1/documents/{said['document_id']}/edxml"
    async with country.session.get(url) as response:
        read, _ = read_packet([await response.read()], scratch)
    assert isinstance(read, StatusPacket)
    assert (read.sender, read.addressee, read.code, read.description) == ("H41", "G22", "03", "Đã vào sổ")
    assert read.about.document_id == "000.00.00.G22,2020/07/20,5816/VPCP-KSTT"
    assert read.about.code == "5816/VPCP-KSTT"


async def test_a_simulated_counterpart_says_each_status_once_also_after_a_restart(country: Country) -> None:
    await country.nodes.pop("H41").stop()
    await country.start("H41", autoreply=("01", "03"))
    document_id = await sent_document(country)
    await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 1)
    await country.nodes.pop("H41").stop()
    await country.start("H41", autoreply=("01", "03", "06"))
    statuses = await heard(country, "G22", f"/v1/documents/{document_id}", "H41", 3)
    assert [(one["code"], one["in_order"]) for one in statuses] == [("01", True), ("03", True), ("06", True)]


async def test_who_may_say_what(country: Country) -> None:
    document_id = await sent_document(country)
    for code, path, said in (
        ("H41", f"/v1/inbox/{document_id}", {"code": "13"}),
        ("G22", f"/v1/documents/{document_id}", {"code": "03"}),
        ("H41", f"/v1/inbox/{document_id}", {"code": "99"}),
        ("H41", f"/v1/inbox/{document_id}", {"code": "02", "note": "x" * 501}),
    ):
        assert (await say(country, code, path, 422, **said))["code"] == "field_invalid"
    assert (await say(country, "H41", "/v1/inbox/none", 404, code="03"))["code"] == "document_unknown"
    unknown = await say(country, "H41", f"/v1/inbox/{document_id}", 403, code="03", unit="G22")
    assert unknown["code"] == "not_a_recipient"
    key = {"Idempotency-Key": "k"}
    path = f"/v1/inbox/{document_id}/statuses"
    first = await country.json("POST", "H41", path, 202, json={"code": "01"}, headers=key)
    assert await country.json("POST", "H41", path, 202, json={"code": "01"}, headers=key) == first
    other = await country.json("POST", "H41", path, 422, json={"code": "03"}, headers=key)
    assert other["code"] == "idempotency_conflict"
    foreign = await country.json(
        "POST", "G22", "/v1/edxml", 403, data=(SAMPLES / "status-03.edxml").read_bytes()
    )
    assert foreign["code"] == "not_host_of_unit"
