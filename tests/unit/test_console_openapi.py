"""`/api/v1/openapi.json` is about the API that is served: its routes, answers, roles and codes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axis.console.access import ACCESS
from axis.console.roles import Role
from axis.core.errors import CODES, Refusal
from bench.history import Signers
from tests.support.console import START, TOKEN, Desk, desk_in
from tests.support.described import check_answer, check_request, operations

PATH = "/api/v1/openapi.json"

#: What a parameter without a list of values may be; `from` is a day but for the traffic log.
VALUES = {
    "period": "2026-11", "month": "2026-11", "quarter": "2026-Q4", "year": "2026", "from": "2026-11-01",
    "until": "2026-11-29", "subtree": "G14", "unit": "G14", "to": "G14", "operator": "*", "code": "03",
    "number": "7", "text": "bao", "document": "x", "since": "2026-11-01", "limit": "1", "after": "1",
    "before": "9", "reason": "~",
}  # fmt: skip
SENDER = ("/api/v1/traffic", "from")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """One with everything that an answer can hold."""
    async with desk_in(tmp_path) as made:
        history = made.history
        await history.enrol("G14", *Signers(tmp_path / "others", START).certificates("G14"))
        original = await history.send("G22", ["G14", "G14.01"], [10], "Báo cáo", "7")
        await history.take(original, "G14")
        await history.notice(original, "G14.01", 1, "hết hạn")
        await history.take_late(original, "G14.01")
        await history.notice(original, "G14.01", 2, "gửi lại", host="G14")
        await history.send("G22", ["G14"], [], "Thu hồi", "8", speaks_of=("recall", "7"))
        await history.send("G22", ["G14"], [], "Thay thế", "9", speaks_of=("replacement", "nothing"))
        await history.report("G14", "G22", original.document_id, "01", "đã đến")
        await made.catch_up()
        made.contacts["G14"] = history.now
        yield made


async def test_all_that_is_served_is_described_and_nothing_else(desk: Desk) -> None:
    described = operations(await desk.api(PATH))
    routes = desk.client.app.router.routes()  # type: ignore[union-attr]
    served = {
        (route.method, route.resource.canonical)
        for route in routes
        if route.method != "HEAD" and route.resource.canonical.startswith("/api/")
    }
    assert set(described) == served == {key for key in ACCESS if key[1].startswith("/api/")}
    assert len(served) > 15
    # Whatever is described can be asked for with HEAD too, as before.
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert (await desk.client.head("/api/v1/overview", headers=headers)).status == 200


async def test_the_description_holds_together(desk: Desk) -> None:
    described = await desk.api(PATH)
    assert described["openapi"] == "3.1.0"
    assert described["info"]["title"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["info"]["version"])
    text = json.dumps(described)
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert named == set(described["components"]["schemas"]), "nothing dangles, nothing is left over"
    every = operations(described)
    ids = [operation["operationId"] for operation in every.values()]
    assert len(ids) == len(set(ids))
    for (method, path), operation in every.items():
        places = [(one["in"], one["name"]) for one in operation["parameters"]]
        assert len(places) == len(set(places))
        in_path = {name for where, name in places if where == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), path
        assert all(one["required"] == (one["in"] == "path") for one in operation["parameters"])
        assert operation["summary"].endswith(".")
        assert ("requestBody" in operation) == (method == "POST" and path != "/api/v1/audits")
        for answer in operation["responses"].values():
            assert answer["description"]
            assert len(answer["content"]) == 1


async def test_each_operation_says_who_may_use_it(desk: Desk) -> None:
    described = await desk.api(PATH)
    for key, operation in operations(described).items():
        role = ACCESS[key]
        assert role is not None
        bearer, session = operation["security"]
        assert bearer == {"bearer": [str(role)]}
        assert session["session"] == [str(role)]
        assert ("csrf" in session) == (key[0] == "POST"), "a cookie alone changes nothing"
        assert set(bearer) | set(session) <= set(described["components"]["securitySchemes"])
        assert str(role) in operation["description"]
        assert "`not_authorised`" in operation["responses"]["401"]["description"]
        needs = "`role_insufficient`" in operation["responses"].get("403", {"description": ""})["description"]
        assert needs == (role > Role.VIEWER)


async def test_each_code_stands_with_the_status_that_it_has(desk: Desk) -> None:
    found = set()
    for operation in operations(await desk.api(PATH)).values():
        for status, answer in operation["responses"].items():
            for code in re.findall(r"`(\w+)`: ", answer["description"]):
                found.add(code)
                assert CODES[code].http_status == int(status)
    assert {"document_unknown", "delivery_closed", "certificate_unknown", "field_invalid"} <= found


async def test_answers_are_as_they_are_described(desk: Desk) -> None:
    described = operations(await desk.api(PATH))
    document_id, status_id = [
        (await desk.api(f"/api/v1/traffic?{query}"))["events"][0]["document_id"]
        for query in ("number=7&event=accepted", "event=status")
    ]
    report = {
        "head": "j:9:ab", "records": 9, "root_hash": "cd" * 32, "signatures_checked": 5,
        "volumes_equal": False, "problems": [{"sequence": 4, "code": "chain_broken", "detail": "frame 2"}],
        "incomplete": False,
    }  # fmt: skip
    await desk.runs.start("oanh", quick=True)
    desk.runs.kept.append({**desk.runs.kept[0], "id": "1", "state": "done", "seconds": 5, "report": report})
    del desk.runs.kept[1]["progress"]
    asked = {
        "/api/v1/overview": [""],
        "/api/v1/units": ["", "?subtree=G14&period=all"],
        "/api/v1/units/{code}": ["", "?period=all", "?from=2026-01-01"],
        "/api/v1/volumes": ["", "?by=month", "?by=day&kind=status", "?month=2020-01"],
        "/api/v1/traffic": ["?limit=1000", "?after=3&limit=2", "?text=nothing"],
        "/api/v1/documents/{document_id}": [""],
        "/api/v1/deliveries": ["", "?state=overdue", "?unit=G14&limit=1"],
        "/api/v1/trust": ["", "?state=all&limit=1"],
        "/api/v1/trust/units": ["", "?limit=1"],
        "/api/v1/audits": [""],
    }
    assert set(asked) | {PATH} == {path for method, path in described if method == "GET"}
    for path, queries in asked.items():
        for query in queries:
            for place in {path.format(code="G14", document_id=each) for each in (document_id, status_id)}:
                check_answer(described["GET", path], await desk.api(place + query))
    document = await desk.api(f"/api/v1/documents/{document_id}")
    assert (document["related"][0]["relation"], document["deliveries"][0]["exchange"]) == (
        "recall",
        "recall_asked",
    ), "the answers above were not empty"


async def test_what_a_shape_does_not_know_is_noticed(desk: Desk) -> None:
    """The check above can fail."""
    operation = operations(await desk.api(PATH))["GET", "/api/v1/overview"]
    answer = await desk.api("/api/v1/overview")
    for wrong in (
        {**answer, "more": 1},
        {**answer, "today": {**answer["today"], "in_flight": 0}},
        {name: value for name, value in answer.items() if name != "oldest"},
        {**answer, "sequence": "many"},
    ):
        with pytest.raises((ValueError, AssertionError)):
            check_answer(operation, wrong)


async def test_problems_are_as_they_are_described(desk: Desk) -> None:
    described = await desk.api(PATH)
    members = set(described["components"]["schemas"]["Problem"]["required"])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for method, path, status, code in (
        ("GET", "/api/v1/documents/none", 404, "document_unknown"),
        ("GET", "/api/v1/units/none", 404, "unit_unknown"),
        ("GET", "/api/v1/traffic?limit=0", 422, "field_invalid"),
        ("GET", "/api/v1/nothing", 404, "route_unknown"),
        ("GET", "/api/nothing", 404, "route_unknown"),
        ("POST", "/api/v1/nothing", 404, "route_unknown"),
        ("DELETE", "/api/v1/units", 405, "route_unknown"),
    ):
        answer = await desk.client.request(method, path, headers=headers)
        assert answer.content_type == "application/problem+json"
        told = await answer.json(content_type=None)
        assert (answer.status, told["status"], told["code"]) == (status, status, code)
        assert members <= set(told)
        assert (answer.headers.get("Allow") == "GET,HEAD,POST") == (status == 405)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    # Outside nobody learns which paths there are.
    assert (await desk.get("/api/v1/nothing")).status == 401
    elsewhere = await desk.get("/api/v1/overview", Host="evil.example", **headers)
    assert (elsewhere.status, (await elsewhere.json(content_type=None))["code"]) == (
        421,
        "origin_not_allowed",
    )
    large = await desk.client.post("/api/v1/units", data=b" " * 20_000, headers=headers)
    assert (large.status, (await large.json(content_type=None))["code"]) == (413, "header_too_large")


async def test_a_defect_is_a_coded_answer_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a secret of the code")

    monkeypatch.setattr("axis.console.api.page", broken)
    answer = await desk.get("/api/v1/traffic", Authorization=f"Bearer {TOKEN}")
    told = await answer.json(content_type=None)
    assert (answer.status, told["code"], told["temporary"]) == (503, "unavailable", True)
    assert "secret" not in str(told)
    monkeypatch.setattr("axis.console.traffic.page", broken)
    assert (await desk.get("/traffic", Authorization=f"Bearer {TOKEN}")).status == 500


async def test_an_audit_is_begun_as_it_is_described(desk: Desk) -> None:
    described = operations(await desk.api(PATH))
    headers = {"Authorization": f"Bearer {await desk.operator(Role.OPERATOR)}"}
    path = "/api/v1/audits"
    for query in ("", "?quick=1"):
        answer = await desk.client.post(path + query, headers=headers)
        assert answer.status == 200
        check_request(described, "POST", path, 200, await answer.json())
    desk.runs.refusal = Refusal("unavailable", "an audit is under way: wait for its end", retry_after=30)
    viewer = {"Authorization": f"Bearer {await desk.operator(Role.VIEWER)}"}
    for query, who, status in (("", headers, 503), ("?slow=1", headers, 422), ("", viewer, 403)):
        answer = await desk.client.post(path + query, headers=who)
        assert answer.status == status
        check_request(described, "POST", path, status, await answer.json(content_type=None))


async def test_queries_may_hold_what_is_described_and_nothing_else(desk: Desk) -> None:
    described = operations(await desk.api(PATH))
    for (method, path), operation in described.items():
        if method != "GET":
            continue
        place = path.format(code="G14", document_id=next(iter(desk.history.sent)))
        for one in operation["parameters"]:
            if one["in"] != "query":
                continue
            name, possible = one["name"], one["schema"].get("enum")
            given = possible[0] if possible else "G22" if (path, name) == SENDER else VALUES[name]
            answer = await desk.get(f"{place}?{name}={given}", Authorization=f"Bearer {TOKEN}")
            assert answer.status == 200, (place, name, await answer.text())
        answer = await desk.get(f"{place}?nobody-knows=1", Authorization=f"Bearer {TOKEN}")
        assert answer.status == 422, place


async def test_the_description_is_a_page_too(desk: Desk) -> None:
    described = await desk.api(PATH)
    page = await (await desk.get("/api", Authorization=f"Bearer {TOKEN}")).text()
    for (method, path), operation in operations(described).items():
        assert f"<code>{method} {path}</code>" in page
        assert operation["summary"].replace("'", "&#39;").replace("`", "") in re.sub("</?code>", "", page)
    for name in described["components"]["schemas"]:
        assert f'<details id="{name}">' in page
    named = set(re.findall(r'href="#(\w+)"', page)) - {"content"}
    assert {"Problem", "Overview", "Requeue"} <= named <= set(described["components"]["schemas"])
    assert 'href="/api"' in await (await desk.get("/", Authorization=f"Bearer {TOKEN}")).text()
