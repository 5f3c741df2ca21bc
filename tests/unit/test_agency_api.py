"""The local API over HTTP: its shapes, errors and description, and the commands beside a stopped node."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agencies.app import Node
from agencies.clock import SystemClock
from agencies.commands.local_node import with_api
from agencies.commands.sending import everything, save_attachments, send_files
from agencies.local import connect
from axis.core.errors import Refusal
from tests.support.stub_axis import StubAxis


class Reached:
    """A node's API from outside."""

    def __init__(self, node: Node, session: aiohttp.ClientSession, axis: StubAxis) -> None:
        self.node = node
        self.session = session
        self.axis = axis

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.node.api_url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, *parts: tuple[str, Any, dict[str, Any]], **options: Any) -> tuple[int, Any]:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value, more in parts:
            form.add_field(name, value, **more)
        return await self.ask("POST", "/v1/documents", data=form, **options)


def part(**members: Any) -> tuple[str, Any, dict[str, Any]]:
    return (
        "document",
        json.dumps({"to": ["G14"], "subject": "S"} | members),
        {"content_type": "application/json"},
    )


def file(content: bytes, name: str = "a.pdf") -> tuple[str, Any, dict[str, Any]]:
    return "file", content, {"filename": name, "content_type": "application/pdf"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Reached]:
    axis = StubAxis(tmp_path, SystemClock().now)
    runner = await axis.start()
    axis.agency("G22", tmp_path / "home")
    axis.stranger("G14")
    async with Node(tmp_path / "home") as node, aiohttp.ClientSession() as session:
        yield Reached(node, session, axis)
    await runner.cleanup()


async def test_a_document_is_taken_and_listed(api: Reached) -> None:
    status, answer = await api.post(part(), file(b"x" * 700_000), file(b""))
    assert (status, answer["state"]) == (202, "queued")
    document_id = answer["document_id"]
    _, found = await api.ask("GET", f"/v1/documents/{document_id}")
    assert [a["size"] for a in found["attachments"]] == [700_000, 0]
    _, page = await api.ask("GET", "/v1/documents?limit=1")
    assert [one["document_id"] for one in page["documents"]] == [document_id]
    _, page = await api.ask("GET", f"/v1/documents?after={page['next']}")
    assert page["documents"] == []
    url = f"{api.node.api_url}/v1/documents/{document_id}/attachments/0"
    async with api.session.get(url) as response:
        assert await response.read() == b"x" * 700_000
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((), "field_invalid"),
        ((file(b"x"),), "field_invalid"),
        ((("document", "{", {}),), "field_invalid"),
        ((("document", "[]", {}),), "field_invalid"),
        ((("document", "[" * 100_000, {}),), "field_invalid"),
        ((part(to=[]),), "field_invalid"),
        ((part(subject=""),), "field_invalid"),
        ((part(unknown=1),), "field_invalid"),
        ((part(priority=9),), "field_invalid"),
        ((part(due_date="tomorrow"),), "field_invalid"),
        ((part(due_date="2026-02-30"),), "field_invalid"),
        ((part(due_date="٢٠٢٦-٠٢-٠١"),), "field_invalid"),
        ((part(response_for=[{"promulgation_date": "2026-13-01"}]),), "field_invalid"),
        ((part(priority=True),), "field_invalid"),
        ((part(priority="1"),), "field_invalid"),
        ((part(priority=1.5),), "field_invalid"),
        ((("document", '{"to": ["G14"], "subject": "S", "priority": 1e400}', {}),), "field_invalid"),
        ((part(business={"paper": 1}),), "field_invalid"),
        ((part(subject=7),), "field_invalid"),
        ((part(subject="a\0b"),), "field_invalid"),
        ((part(subject="a\nb"),), "field_invalid"),
        ((part(subject="a\x85b"),), "field_invalid"),
        ((part(subject="\ud800"),), "field_invalid"),
        ((part(content="a\x1bb"),), "field_invalid"),
        ((part(to=["\ud800"]),), "field_invalid"),
        ((part(to_places=["\ud800"]),), "field_invalid"),
        ((part(**{"x\ud800": 1}),), "field_invalid"),
        ((part(**{"from": "\ud800"}),), "field_invalid"),
        ((("document", b'{"to": ["G14"], "subject": "\xff"}', {"filename": "x"}),), "field_invalid"),
        ((("document", '{"to": ' + "[" * 900 + "]" * 900 + "}", {}),), "field_invalid"),
        (
            (("document", '{"to": ["G14"], "subject": "S", "priority": ' + "1" * 9999 + "}", {}),),
            "field_invalid",
        ),
        ((part(to=["../x"]),), "recipient_unknown"),
        ((part(), part()), "field_invalid"),
        ((part(), ("other", "x", {})), "field_invalid"),
        ((part(), file(b"x", "..")), "field_invalid"),
        ((part(content="x" * 300_000),), "header_too_large"),
        ((part(content="x" * 600_000),), "header_too_large"),
        ((part(**{"from": "X1"}),), "sender_not_registered"),
        ((part(**{"from": "G14"}),), "not_host_of_unit"),
    ],
)
async def test_bad_input_gets_a_code_and_leaves_nothing(api: Reached, parts: Any, code: str) -> None:
    status, answer = await api.post(*parts)
    assert (answer["code"], answer["status"]) == (code, status)
    assert status in (403, 413, 422)
    assert (await api.ask("GET", "/v1/documents"))[1]["documents"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "route_unknown"),
        ("DELETE", "/v1/inbox", 405, "route_unknown"),
        ("GET", "/v1/documents/x", 404, "document_unknown"),
        ("GET", "/v1/inbox/x", 404, "document_unknown"),
        ("GET", "/v1/inbox/x/attachments/0", 404, "document_unknown"),
        ("GET", "/v1/inbox/x/attachments/-1", 404, "document_unknown"),
        ("GET", "/v1/inbox?after=x", 422, "field_invalid"),
        ("GET", "/v1/inbox?after=-1", 422, "field_invalid"),
        ("GET", "/v1/inbox?after=9223372036854775808", 422, "field_invalid"),
        ("GET", "/v1/inbox?limit=0", 422, "field_invalid"),
        ("GET", "/v1/inbox?limit=501", 422, "field_invalid"),
        ("GET", "/v1/inbox?limit=%C2%B2", 422, "field_invalid"),
        ("GET", "/v1/inbox?wait=%C2%B2", 422, "field_invalid"),
        ("GET", "/v1/documents?limit=0", 422, "field_invalid"),
        ("GET", "/v1/directory?limit=%C2%B2", 422, "field_invalid"),
        ("GET", "/v1/directory?limit=0", 422, "field_invalid"),
        ("GET", "/v1/volumes?by=year", 422, "field_invalid"),
        ("GET", "/v1/volumes?month=2026-13", 422, "field_invalid"),
        ("POST", "/v1/documents", 422, "field_invalid"),
        ("POST", "/v1/inbox/x/receipt", 422, "field_invalid"),
    ],
)
async def test_errors_are_problems_with_a_code(
    api: Reached, method: str, path: str, status: int, code: str
) -> None:
    async with api.session.request(method, api.node.api_url + path) as response:
        assert response.content_type == "application/problem+json"
        answer = await response.json(content_type=None)
    assert (response.status, answer["status"], answer["code"]) == (status, status, code)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"outcome":"received","reason":"\\ud800"}',
        '{"outcome":"received","reason":"\\u0000"}',
        '{"outcome":"received","unit":"\\ud800"}',
        b'{"outcome":"received","reason":"\xff"}',
    ],
)
async def test_a_malformed_decision_is_the_callers_mistake(api: Reached, body: Any) -> None:
    status, answer = await api.ask("POST", "/v1/inbox/x/receipt", data=body)
    assert (status, answer["code"]) == (422, "field_invalid")


@pytest.mark.parametrize("number", ["9" * 5000, "²", "-1", "x"])
async def test_an_event_number_is_a_number(api: Reached, number: str) -> None:
    async with asyncio.timeout(30):  # the stream of a number that is taken does not end
        status, answer = await api.ask("GET", "/v1/events", headers={"Last-Event-ID": number})
    assert (status, answer["code"]) == (422, "field_invalid")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/documents/\xff HTTP/1.1\r\n",
        b"GET /v1/directory?query=\xff HTTP/1.1\r\n",
        b"POST /v1/inbox/x/receipt HTTP/1.1\r\nContent-Length: 22\r\nIdempotency-Key: \xff\r\n",
    ],
)
async def test_what_is_no_utf_8_is_the_callers_mistake(api: Reached, head: bytes) -> None:
    address = api.node.api_url.removeprefix("http://")
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + f"Host: {address}\r\nConnection: close\r\n\r\n".encode())
    writer.write(b'{"outcome":"received"}' if b"POST" in head else b"")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split(b" ")[1] in (b"400", b"422"), answer


async def test_an_odd_media_type_is_plain_bytes(api: Reached) -> None:
    named = b"Content-Disposition: form-data; name="
    body = b"".join(
        (
            b"--x\r\n" + named + b'"document"\r\n\r\n{"to": ["G14"], "subject": "S"}\r\n',
            b"--x\r\n" + named + b'"file"; filename="a"\r\nContent-Type: a/\xff\r\n\r\nx\r\n--x--\r\n',
        )
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    status, answer = await api.ask("POST", "/v1/documents", data=body, headers=kind)
    assert status == 202
    _, found = await api.ask("GET", f"/v1/documents/{answer['document_id']}")
    assert found["attachments"][0]["media_type"] == "application/octet-stream"


async def test_a_whole_number_may_have_a_point(api: Reached) -> None:
    status, answer = await api.post(part(priority=1.0, business={"doc_type": 2.0}))
    assert (status, answer["state"]) == (202, "queued")


async def test_lines_may_end_in_the_content(api: Reached) -> None:
    status, answer = await api.post(part(content="one\n\ttwo\r\nthree"))
    assert (status, answer["state"]) == (202, "queued")


async def test_a_cursor_never_goes_backwards(api: Reached) -> None:
    for path in ("/v1/inbox", "/v1/documents"):
        status, page = await api.ask("GET", f"{path}?after={2**63 - 1}")
        assert (status, page["documents"], page["next"]) == (200, [], str(2**63 - 1))


async def test_the_inbox_is_waited_for(api: Reached) -> None:
    waiting = asyncio.create_task(api.ask("GET", "/v1/inbox?wait=20"))
    await asyncio.sleep(0)
    api.axis.accept(api.axis.document("G14", "G22", files=(b"content",)))
    async with asyncio.timeout(30):
        _, page = await waiting
    (found,) = page["documents"]
    assert {
        "document_id",
        "from",
        "to",
        "subject",
        "number",
        "received_at",
        "state",
        "attachments",
    } <= found.keys()
    _, empty = await api.ask("GET", f"/v1/inbox?after={page['next']}")
    assert (empty["documents"], empty["next"]) == ([], page["next"])


async def test_events_are_streamed_and_gone_on_with(api: Reached) -> None:
    api.axis.accept(api.axis.document("G14", "G22"))
    async with asyncio.timeout(30):
        async with api.session.get(
            api.node.api_url + "/v1/events", headers={"Last-Event-ID": "0"}
        ) as response:
            assert response.content_type == "text/event-stream"
            async for line in response.content:
                if line == b"event: document_received\n":
                    break


async def test_events_can_be_chosen_by_name(api: Reached) -> None:
    api.axis.accept(api.axis.document("G14", "G22"))
    url = api.node.api_url + "/v1/events?only=receipt_taken,alarm"
    async with asyncio.timeout(30), api.session.get(url, headers={"Last-Event-ID": "0"}) as response:
        names = []
        async for line in response.content:
            if line.startswith(b"event: "):
                names.append(line.decode().strip())
            if names[-1:] == ["event: receipt_taken"]:
                break
    assert names == ["event: receipt_taken"]


async def test_the_description_is_openapi_and_the_page_needs_nobody_else(api: Reached) -> None:
    _, described = await api.ask("GET", "/openapi.json")
    assert described["openapi"] == "3.1.0"
    text = json.dumps(described)
    schemas = described["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in schemas
    for path in (
        "/v1/documents",
        "/v1/inbox/{id}/receipt",
        "/v1/directory",
        "/v1/events",
        "/livez",
        "/metrics",
    ):
        assert path in described["paths"]
    assert (
        "idempotency_conflict"
        in described["paths"]["/v1/documents"]["post"]["responses"]["422"]["description"]
    )
    async with api.session.get(api.node.api_url + "/docs") as response:
        page = await response.text()
    assert "/v1/inbox/{id}/receipt" in page
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


async def test_health_metrics_and_directory(api: Reached) -> None:
    assert await api.ask("GET", "/livez") == (200, {"live": True})
    status, ready = await api.ask("GET", "/readyz")
    assert (status, ready["ready"]) == (200, True)
    async with api.session.get(api.node.api_url + "/metrics") as response:
        assert "agency_outbox_queued 0.0" in await response.text()
    await api.node.parts.directory.refresh()
    _, found = await api.ask("GET", "/v1/directory?query=unit+g14")
    assert [unit["code"] for unit in found["units"]] == ["G14"]
    status, node = await api.ask("GET", "/v1/node")
    assert (node["code"], node["online"]) == ("G22", True)


async def test_commands_work_beside_a_running_and_a_stopped_node(api: Reached, tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = tmp_path / "Báo cáo.pdf"
    path.write_bytes(b"content")
    request = {"to": ["G14"], "subject": "S"}
    beside = await with_api(home, lambda local: send_files(local, request, [path]))
    assert beside["online"]
    await api.node.stop()
    queued = await with_api(home, lambda local: send_files(local, request, [path, path]))
    assert (queued["state"], queued["online"]) == ("queued", False)
    # Unknown to the directory as it is here: the axis will judge.
    await with_api(home, lambda local: send_files(local, {"to": ["NEW"], "subject": "S"}, [path]))
    listed = await with_api(home, lambda local: everything(local, "/v1/documents"))
    assert [one["to"] for one in listed] == [["G14"], ["G14"], ["NEW"]]
    out = tmp_path / "out"
    written = await with_api(home, lambda local: save_attachments(local, queued["document_id"], out))
    assert [p.name for p in written] == ["Báo cáo.pdf", "1-Báo cáo.pdf"]
    assert [p.read_bytes() for p in written] == [b"content"] * 2
    with pytest.raises(Refusal):
        await with_api(home, lambda local: save_attachments(local, "nothing", out))


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"token": "x", "axis": 7}'])
async def test_a_malformed_enrolment_is_the_callers_mistake(api: Reached, body: str) -> None:
    async with connect(api.node.home) as local:
        with pytest.raises(Refusal) as refused:
            await local.json("POST", "/control/enrol", data=body)
    assert refused.value.name == "field_invalid"


async def test_answers_are_readable_vietnamese(api: Reached) -> None:
    await api.post(part(subject="Báo cáo tháng"), file(b"x"))
    async with api.session.get(f"{api.node.api_url}/v1/documents") as response:
        assert "Báo cáo tháng" in await response.text()
