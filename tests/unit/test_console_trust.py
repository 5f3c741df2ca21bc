"""Certificates and organisations on the trust page, and a registrar's acts by its forms."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import journal_pb2

from axis.console.roles import Role
from axis.core.errors import Refusal
from axis.core.state import reduce
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from axis.views.queries import query
from axis.views.trust import Wanted, certificates, standing
from bench.history import History, Signers
from tests.support.console import DAY, START, TOKEN, Desk, desk_in

HTML = "text/html,application/xhtml+xml"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as made:
        signers = Signers(tmp_path / "others", START)
        await made.history.enrol("G14", *signers.certificates("G14"))
        await made.catch_up()
        yield made


@pytest.fixture
async def registrar(desk: Desk) -> dict[str, str]:
    """What a log-in by the link sends."""
    cookie = (await desk.get(f"/?token={TOKEN}")).cookies["axis_console"].value
    return {"Cookie": f"axis_console={cookie}"}


async def sent(desk: Desk, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, str, str]:
    """A form as the page before it has it: (status, where to, page)."""
    page = await (await desk.get("/trust/add", **headers)).text()
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    answer = await desk.client.post(path, data={**form, "csrf": csrf}, headers=headers, allow_redirects=False)
    return answer.status, answer.headers.get("Location", ""), await answer.text()


async def test_certificates_are_shown_by_expiry_with_their_state(desk: Desk) -> None:
    desk.contacts["G14"] = desk.history.now
    found: Any = await desk.api("/api/v1/trust")
    assert [(one["org"], one["usage"], one["state"]) for one in found["certificates"]].count(
        ("G14", "tls", "active")
    ) == 1
    ends = [one["not_after"] for one in found["certificates"]]
    assert (ends, len(ends)) == (sorted(ends), 4)
    assert found["organisations"] == {"enrolled": 1, "not_enrolled": 2, "suspended": 0}
    assert found["nodes"] == {"connected": 1, "heard_of": 1}
    assert found["directory"] == desk.history.journal.head().sequence == found["head"]
    serial = next(one["serial"] for one in found["certificates"] if one["org"] == "G14")
    await desk.history.add(
        revoked=journal_pb2.CertificateRevoked(
            serial=serial,
            certificate_sha256=_sha256(desk, serial),
            reason="keyCompromise",
            revoked_at=desk.history.now,
        )
    )
    await desk.catch_up()
    revoked: Any = await desk.api("/api/v1/trust?state=revoked&unit=G14")
    assert [(one["serial"], one["state"], one["reason"]) for one in revoked["certificates"]] == [
        (serial, "revoked", "keyCompromise")
    ]
    page = await (await desk.get("/trust?state=revoked", Authorization=f"Bearer {TOKEN}")).text()
    assert "lộ khóa" in page
    await desk.history.move(3 * 365 * DAY)
    expired: Any = await desk.api("/api/v1/trust?state=expired")
    assert len(expired["certificates"]) == 3


def _sha256(desk: Desk, serial: str) -> bytes:
    with closing(desk.views.reader()) as views:
        row = views.execute("SELECT sha256 FROM certificates WHERE serial = ?", (serial,)).fetchone()
    return bytes(row[0])


async def test_pages_and_states_of_many_certificates(tmp_path: Path) -> None:
    """Every certificate once, whatever the state, in pages; each page by an index."""
    history = History(MemoryJournal("j", reduce))
    await history.found()
    await history.flush()
    now = 1_000 * DAY
    with closing(Views.open(tmp_path / "views.sqlite")) as views:
        views.catch_up(history.journal)
        rows = [
            (n.to_bytes(32), f"G{n % 7}", ("tls", "sign")[n % 2], f"{n:x}", "development", 0,
             now + (n % 50 - 10) * 10 * DAY, n + 1, int(n % 11 == 0), 5, "")
            for n in range(1000)
        ]  # fmt: skip
        with closing(sqlite3.connect(views.path)) as writer, writer:
            marks = ",".join("?" * 11)
            writer.executemany(f"INSERT INTO certificates VALUES ({marks})", rows)
        with closing(views.reader()) as reader:
            counts = standing(reader, now)["states"]
            for state, among in {
                "revoked": lambda r: r[8],
                "expired": lambda r: not r[8] and r[6] < now,
                "active": lambda r: not r[8] and r[6] >= now,
                "expiring": lambda r: not r[8] and now <= r[6] < now + 30 * DAY,
                "all": lambda r: True,
            }.items():
                expected = [r[3] for r in sorted(rows, key=lambda r: (r[6], r[0])) if among(r)]
                serials, after, pages = [], "", 0
                while after is not None:
                    page, after = certificates(reader, Wanted(state, after=after, limit=70), now)
                    serials += [one["serial"] for one in page]
                    pages += 1
                assert serials == expected, state
                assert pages == -(-len(expected) // 70)
                if state != "all":
                    assert sum(counts[usage][state] for usage in ("tls", "sign")) == len(expected)
            narrow = {
                "not_after": 0,
                "sha256": b"",
                "high": 1,
                "organisation": "G1",
                "usage": "tls",
                "count": 1,
            }
            for clause in ("AND TRUE", "AND revoked_sequence = 0", "AND revoked_sequence > 0",
                           "AND organisation = :organisation"):  # fmt: skip
                statement = query("certificates").replace("/* and */", clause)
                plan = [row["detail"] for row in reader.execute(f"EXPLAIN QUERY PLAN {statement}", narrow)]
                assert all(step.startswith("SEARCH certificates USING") for step in plan), plan


@pytest.mark.parametrize(
    "asked", ["state=x", "usage=x", "after=x", "after=1.zz", f"after={'9' * 30}.", "limit=0", "limit=x"]
)
async def test_a_wrong_filter_says_which(desk: Desk, asked: str) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answer = await desk.get(f"/api/v1/trust?{asked}", **bearer)
    assert (answer.status, (await answer.json(content_type=None))["detail"].startswith(asked[:5])) == (
        422,
        True,
    )
    page = await desk.get(f"/trust?{asked}", **bearer)
    assert (page.status, asked.partition("=")[0] in await page.text()) == (422, True)


async def test_rows_and_counts_are_of_one_head(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = desk.history.journal.head().sequence
    await desk.history.register("H41")
    await desk.history.flush()

    def meanwhile(views: sqlite3.Connection, now: int) -> dict[str, Any]:
        desk.views.catch_up(desk.history.journal)
        return standing(views, now)

    monkeypatch.setattr("axis.console.trust.standing", meanwhile)
    heads = [(await desk.api("/api/v1/trust"))["head"] for _ in range(2)]
    assert heads == [before, before + 1]


async def test_organisations_with_and_without_a_node(desk: Desk) -> None:
    desk.contacts["G14"] = START
    found: Any = await desk.api("/api/v1/trust/units?limit=2")
    seen = [(one["code"], one["enrolled"], one["hosted_by"]) for one in found["units"]]
    assert seen == [("G14", True, "G14"), ("G14.01", False, "G14")]
    assert [one["last_contact"] is None for one in found["units"]] == [False, True]
    rest: Any = await desk.api(f"/api/v1/trust/units?after={found['next']}")
    assert [(one["code"], one["hosted_by"]) for one in rest["units"]] == [("G22", None)]
    assert rest["next"] is None
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    listed = await (await desk.get("/trust/units?state=not_enrolled", **bearer)).text()
    assert ("Cục Hộ tịch" in listed, "Bộ Tư pháp" in listed) == (True, False)
    assert ("qua nút G14" in listed, "chưa kết nối</td>" in listed) == (True, True)
    by_old_code = await desk.get("/trust/units?code=000.00.00.G22", **bearer)
    assert by_old_code.headers["Location"] == "/trust/units/G22"
    assert (await desk.get("/trust/units?code=Z9", **bearer)).status == 404
    unknown = await desk.get("/trust/units/Z9", **bearer)
    assert (unknown.status, "unit_unknown" in await unknown.text()) == (404, True)
    # Who looks at a unit's volumes is led to where it is suspended.
    assert 'href="/trust/units/G22"' in await (await desk.get("/units/G22", **bearer)).text()
    page = await (await desk.get("/trust/units/G22", **bearer)).text()
    assert "Văn phòng &lt;Chính phủ&gt;" in page


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_who_is_no_registrar_sees_no_act_and_is_refused_in_words(desk: Desk, role: Role) -> None:
    bearer = {"Authorization": f"Bearer {await desk.operator(role)}", "Accept": HTML}
    serial = (await desk.api("/api/v1/trust"))["certificates"][0]["serial"]
    for path in ("/trust", "/trust/units", "/trust/units/G14"):
        page = await (await desk.get(path, **bearer)).text()
        assert not re.search(r"/trust/(add|units/[^\"/]+/\w+|certificates)", page), path
    for path in ("/trust/add", "/trust/units/G14/suspend", f"/trust/certificates/{serial}/revoke"):
        for method in ("GET", "POST"):
            answer = await desk.client.request(method, path, headers=bearer)
            assert (answer.status, "Vai trò của bạn không đủ" in await answer.text()) == (403, True)
    assert desk.done == []


async def test_a_unit_is_registered_after_a_look_and_its_token_shown_once(
    desk: Desk, registrar: dict[str, str]
) -> None:
    form = {
        "code": "H26",
        "name": "Hà Nội <b>",
        "parent": "",
        "old_code": "1.H26",
        "mail": "",
        "reason": "CV 5",
    }
    assert (await sent(desk, "/trust/add", registrar, {**form, "reason": " "}))[0] == 422
    for field in ("code", "parent", "old_code"):
        status, _, page = await sent(desk, "/trust/add", registrar, {**form, field: "H5 3!"})
        assert (status, f"({field}): “H5 3!” không có dạng của một mã" in page) == (422, True)
    status, _, page = await sent(desk, "/trust/add", registrar, form)
    assert (status, "Hà Nội &lt;b&gt;" in page, desk.done) == (200, True, [])
    status, _, page = await sent(desk, "/trust/add", registrar, {**form, "change": "1"})
    assert (status, 'value="1.H26"' in page, desk.done) == (200, True, [])
    desk.answers["org.add"] = {
        "code": "H26",
        "token": "axis1.once",
        "expires_at": "2026-12-06T00:00:00+07:00",
    }
    desk.refuse.append(Refusal("field_invalid", "code: H26 is nothing"))
    status, _, page = await sent(desk, "/trust/add", registrar, {**form, "confirmed": "1"})
    assert (status, "H26 is nothing" in page) == (422, True)
    status, _, page = await sent(desk, "/trust/add", registrar, {**form, "confirmed": "1"})
    assert (status, page.count("axis1.once")) == (200, 1)
    ((name, given),) = desk.done
    assert (name, given["old_codes"], given["remark"], given["operator"]) == (
        "org.add", ["1.H26"], "CV 5", "console",
    )  # fmt: skip
    again = await desk.get("/trust/add", **registrar)
    assert (again.headers["Cache-Control"], "axis1.once" in await again.text()) == ("no-store", False)


async def test_a_code_that_is_registered_is_changed_with_a_warning_and_no_token(
    desk: Desk, registrar: dict[str, str]
) -> None:
    form = {"code": "G14.01", "name": "Cục Hộ tịch mới", "parent": "G14", "reason": "CV 6"}
    _, _, page = await sent(desk, "/trust/add", registrar, form)
    assert "Cục Hộ tịch (G14.01), cấp trên Bộ Tư pháp" in page
    assert 'name="known" value="G14.01"' in page
    # Confirmed on a page that showed a new unit: it is asked about again.
    status, _, page = await sent(desk, "/trust/add", registrar, {**form, "confirmed": "1"})
    assert (status, "cấp trên Bộ Tư pháp" in page, desk.done) == (200, True, [])
    confirmed = {**form, "known": "G14.01", "confirmed": "1"}
    status, to, _ = await sent(desk, "/trust/add", registrar, confirmed)
    assert (status, to) == (303, "/trust/units/G14.01?done=changed")
    assert "Đã sửa thông tin cơ quan." in await (await desk.get(to, **registrar)).text()
    desk.answers["org.add"] = {
        "code": "G14.01",
        "token": "axis1.x",
        "expires_at": "2026-12-06T00:00:00+07:00",
    }
    _, _, page = await sent(desk, "/trust/add", registrar, {**confirmed, "token": "1"})
    assert "axis1.x" in page
    assert [given["token"] for _, given in desk.done] == [False, True]


async def test_acts_on_a_unit_say_what_they_do_and_ask_why(desk: Desk, registrar: dict[str, str]) -> None:
    desk.answers["org.token"] = {
        "code": "G14",
        "token": "axis1.new",
        "expires_at": "2026-12-06T00:00:00+07:00",
    }
    for act, done in (("suspend", "suspended"), ("resume", "resumed")):
        path = f"/trust/units/G14/{act}"
        asked = await desk.get(path, **registrar)
        assert (asked.status, "Bộ Tư pháp" in await asked.text()) == (200, True)
        assert (await sent(desk, path, registrar, {"reason": ""}))[0] == 422
        status, where, _ = await sent(desk, path, registrar, {"reason": "mất khóa"})
        assert (status, where) == (303, f"/trust/units/G14?done={done}")
        assert 'role="status"' in await (await desk.get(where, **registrar)).text()
    status, _, page = await sent(desk, "/trust/units/G14/token", registrar, {"reason": "máy mới"})
    assert (status, "axis1.new" in page) == (200, True)
    assert [(name, given.get("reason") or given["remark"]) for name, given in desk.done] == [
        ("org.suspend", "mất khóa"), ("org.resume", "mất khóa"), ("org.token", "máy mới"),
    ]  # fmt: skip
    assert (await sent(desk, "/trust/units/Z9/suspend", registrar, {"reason": "x"}))[0] == 404
    assert (await sent(desk, "/trust/units/G14/delete", registrar, {"reason": "x"}))[0] == 404
    forged = await desk.client.post("/trust/units/G14/suspend", data={"reason": "x"}, headers=registrar)
    assert forged.status == 403


async def test_a_certificate_is_revoked_for_a_reason_of_rfc_5280(
    desk: Desk, registrar: dict[str, str]
) -> None:
    found: Any = await desk.api("/api/v1/trust")
    mine = next(one for one in found["certificates"] if one["org"] == "G14")
    path = f"/trust/certificates/{mine['serial']}/revoke"
    asked = await (await desk.get(path, **registrar)).text()
    assert ("(keyCompromise)" in asked, mine["serial"] in asked) == (True, True)
    form = {"code": "keyCompromise", "reason": "máy bị mất"}
    desk.refuse.append(Refusal("unavailable", "the issuer is not there"))
    status, _, page = await sent(desk, path, registrar, form)
    assert (status, "the issuer is not there" in page) == (503, True)
    assert (await sent(desk, path, registrar, form))[:2] == (303, "/trust/units/G14?done=revoked")
    ((name, given),) = desk.done
    assert (name, given["reason"], given["remark"]) == ("cert.revoke", "keyCompromise", "máy bị mất")
    assert (await sent(desk, "/trust/certificates/abc/revoke", registrar, form))[0] == 404
    axis = next(one for one in found["certificates"] if one["org"] == "axis")
    status, where, _ = await sent(desk, f"/trust/certificates/{axis['serial']}/revoke", registrar, form)
    assert (status, where) == (303, "/trust?state=revoked")
