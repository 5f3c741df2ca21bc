"""The traffic generator: its arguments, and documents to nodes that ask for a bearer token."""

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from axis.demo.generator import agencies_from, generate
from axis.demo.traffic import Sent, Traffic


class Node:
    """Two agencies' nodes in one: takes documents with the right token only, and delivers at once."""

    def __init__(self) -> None:
        self.senders: list[str] = []
        self.refused = 0

    async def post(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer secret-{request.match_info['code']}":
            self.refused += 1
            raise web.HTTPUnauthorized
        await request.read()
        self.senders.append(request.match_info["code"])
        return web.json_response({"document_id": str(len(self.senders)), "state": "queued"}, status=202)

    async def get(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer secret-{request.match_info['code']}":
            raise web.HTTPUnauthorized
        return web.json_response({"state": "delivered", "deliveries": []})


def tokens(folder: Path, prefix: str = "secret-") -> Path:
    for code in ("G22", "G14"):
        (folder / f"{code}.api").write_text(f"{prefix}{code}\n")
    return folder


async def run(folder: Path, node: Node, heartbeat: Path | None, documents: int) -> int:
    application = web.Application()
    application.add_routes(
        [web.post("/{code}/v1/documents", node.post), web.get("/{code}/v1/documents/{id}", node.get)]
    )
    async with TestServer(application) as server:
        targets = [f"{code}={server.make_url('/')}{code}" for code in ("G22", "G14")]
        sent = await generate(agencies_from(targets, folder), 1000.0, heartbeat, documents)
    return len(sent)


async def test_the_first_comes_from_the_first_agency_and_all_carry_their_own_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node, heartbeat = Node(), tmp_path / "heartbeat"
    assert await run(tokens(tmp_path), node, heartbeat, 9) == 10
    assert node.senders[0] == "G22"
    assert len(node.senders) == 10
    assert set(node.senders) == {"G22", "G14"}
    assert heartbeat.exists()
    assert capsys.readouterr().out == "first document received by all\n"


async def test_what_was_sent_long_ago_is_not_kept(tmp_path: Path) -> None:
    node = Node()
    assert await run(tokens(tmp_path), node, None, 80) == 64
    assert len(node.senders) == 81


async def test_a_wrong_token_ends_it(tmp_path: Path) -> None:
    node = Node()
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await run(tokens(tmp_path, "wrong-"), node, None, 1)
    assert node.refused == 1


@pytest.mark.parametrize(
    "targets", [["G22=http://a"], ["G22", "G14=http://b"], ["=http://a", "G14=http://b"]]
)
def test_targets_that_are_none(targets: list[str]) -> None:
    with pytest.raises(ValueError, match=r"CODE=URL|two agencies"):
        agencies_from(targets, None)


def test_names_come_from_the_units_list() -> None:
    agencies = agencies_from(["G22=http://a/", "X1=http://b"], None)
    assert [(one.name, one.api_url, one.token) for one in agencies] == [
        ("Văn phòng Chính phủ", "http://a", ""),
        ("X1", "http://b", ""),
    ]
    assert "token" not in repr(agencies[0])


async def test_traffic_goes_on_past_what_a_suspended_unit_keeps_from_being_sent(tmp_path: Path) -> None:
    """Who tries out the register's acts must not end the demonstration by them, nor keep it from starting."""
    refusals = 3
    said: list[str] = []

    async def post(request: web.Request) -> web.Response:
        nonlocal refusals
        await request.read()
        if refusals:
            refusals -= 1
            problem = {"code": "recipient_suspended", "detail": "G14 is suspended"}
            return web.json_response(problem, status=422, content_type="application/problem+json")
        return web.json_response({"document_id": "1", "state": "queued"}, status=202)

    application = web.Application()
    application.add_routes([web.post("/{code}/v1/documents", post)])
    async with TestServer(application) as server:
        targets = [f"{code}={server.make_url('/')}{code}" for code in ("G22", "G14")]
        async with Traffic(agencies_from(targets, tokens(tmp_path)), seed=1) as traffic:
            await traffic.begin(10.0, said.append, endless=True)
            sent = await anext(traffic.stream(None, 1000.0, said.append))
            assert sent.document_id == "1"
            refusals = 1
            with pytest.raises(aiohttp.ClientResponseError, match="recipient_suspended: G14 is suspended"):
                await anext(traffic.stream(1, 1000.0, said.append))
    # Of two refusals for the same reason one is told.
    assert said == [
        "the first document was not sent: recipient_suspended: G14 is suspended",
        "a document was not sent, the traffic goes on: recipient_suspended: G14 is suspended",
    ]


async def test_traffic_goes_on_beside_a_node_that_was_stopped(tmp_path: Path) -> None:
    node = Node()
    said: list[str] = []
    application = web.Application()
    application.add_routes(
        [web.post("/{code}/v1/documents", node.post), web.get("/{code}/v1/documents/{id}", node.get)]
    )
    async with TestServer(application) as server, TestServer(web.Application()) as stopped:
        targets = [f"G22={server.make_url('/')}G22", f"G14={stopped.make_url('/')}G14"]
        await stopped.close()
        async with Traffic(agencies_from(targets, tokens(tmp_path)), seed=1) as traffic:
            async for _ in traffic.stream(None, 1000.0, said.append):
                if said:
                    break
            # What the others know is told at the end all the same.
            traffic.sent.insert(0, Sent("0", traffic.sent[0].sender, ["G22"], "", state="accepted"))
            traffic.sent[0].sender = agencies_from(targets, tokens(tmp_path))[1]
            await traffic.look(1.0)
            assert [each.state for each in traffic.sent] == ["accepted"] + ["delivered"] * len(node.senders)
    assert set(node.senders) == {"G22"}
    assert said[0].startswith("a document was not sent, the traffic goes on: Cannot connect")
