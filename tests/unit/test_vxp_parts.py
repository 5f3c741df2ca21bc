"""The VXP API's pure parts: parameters, authentication, the packet within a body, the caller's scope."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axispb.v1 import api_pb2
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from agencies.store.database import Store
from agencies.vxp.authentication import Caller, System, authenticate
from agencies.vxp.call_log import Call, CallLog
from agencies.vxp.parameters import Parameters, vietnam_time
from agencies.vxp.scope import Scope
from agencies.vxp.sending import packet_bytes
from axis.core.directory import Directory
from axis.core.errors import Refusal

NOW = 1_795_743_825_363  # 27.11.2026 08:43:45.363 in Vietnam
STAMP = "27112026T084345+0363"
SYSTEM = System("SYS01", ("G22",), ("new", "old"))


def headers(secret: str = "new", **signed: str) -> CIMultiDict[str]:
    known = {"systemid": "SYS01", "timestamp": STAMP, "Content-Type": "application/json"} | signed
    found = CIMultiDict({f"XroadVnpt-{name}": value for name, value in known.items()})
    text = json.dumps(dict(found), ensure_ascii=False)
    found["XroadVnpt-sign-header"] = text
    found["XroadVnpt-hash-header"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    found["Content-Type"] = known["Content-Type"]
    return found


def judge(given: CIMultiDict[str], max_skew_ms: int = 0) -> Caller:
    known = {SYSTEM.system_id: SYSTEM}
    return authenticate(Parameters(given), known.get, NOW, max_skew_ms)


def refused(given: CIMultiDict[str], max_skew_ms: int = 0) -> str:
    with pytest.raises(Refusal) as caught:
        judge(given, max_skew_ms)
    return caught.value.name


def test_both_secrets_are_good_and_no_other() -> None:
    for secret in SYSTEM.secrets:
        assert judge(headers(secret)).system is SYSTEM
    assert refused(headers("other")) == "system_unknown"
    assert refused(headers(systemid="SYS02")) == "system_unknown"
    assert refused(CIMultiDict()) == "system_unknown"
    upper = headers()
    upper["XroadVnpt-hash-header"] = upper["XroadVnpt-hash-header"].upper()
    assert judge(upper).hash_header == upper["XroadVnpt-hash-header"].lower()


@given(st.text(max_size=40), st.sampled_from(["systemid", "timestamp", "from", "note"]))
def test_a_signed_header_that_was_changed_is_refused(value: str, name: str) -> None:
    given = headers(**{"from": "G22", "note": "đã nhận"})
    changed = given[f"XroadVnpt-{name}"] != value
    given[f"XroadVnpt-{name}"] = value
    if not changed:
        judge(given)
    else:
        assert refused(given) in ("signed_header_differs", "system_unknown")


def test_what_is_signed_must_be_an_object_that_names_the_system() -> None:
    for text in ("", "x", "[]", "{}", '{"XroadVnpt-timestamp":"1"}', '{"XroadVnpt-systemid":["SYS01"]}',
                 '{"XroadVnpt-systemid":"SYS01","XROADVNPT-SYSTEMID":"SYS01"}', "[" * 100_000):  # fmt: skip
        given = headers()
        given["XroadVnpt-sign-header"] = text
        given["XroadVnpt-hash-header"] = hmac.new(b"new", text.encode(), hashlib.sha256).hexdigest()
        assert refused(given) == "signed_header_differs", text[:60]


def test_a_signed_header_that_is_missing_or_doubled_is_refused() -> None:
    given = headers(**{"from": "G22"})
    del given["XroadVnpt-from"]
    assert refused(given) == "signed_header_differs"
    given = headers(**{"from": "G22"})
    given.add("xroadvnpt-from", "H41")
    assert refused(given) == "field_invalid"


def test_the_content_type_may_be_sent_without_the_prefix_and_with_a_charset() -> None:
    given = headers()
    del given["XroadVnpt-Content-Type"]
    judge(given)
    given["Content-Type"] = "application/json; charset=UTF-8"
    judge(given)
    given["Content-Type"] = "text/plain"
    assert refused(given) == "signed_header_differs"


@pytest.mark.parametrize("stamp", [STAMP, "27112026T014345+363"])
def test_a_stamp_is_in_either_zone(stamp: str) -> None:
    assert judge(headers(timestamp=stamp), 1000).skew_ms == 0


@pytest.mark.parametrize("stamp", ["20112026T084345+0363", "yesterday", "99992026T084345+0363"])
def test_an_old_stamp_is_refused_only_where_that_is_asked_for(stamp: str) -> None:
    judge(headers(timestamp=stamp))
    assert refused(headers(timestamp=stamp), 60_000) == "timestamp_skewed"


async def taken(body: bytes, hash_file: str, size: int) -> bytes:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return b"".join([piece async for piece in packet_bytes(chunks(), hash_file)])


def forms(packet: bytes) -> list[str]:
    digest = hashlib.sha256(packet).digest()
    return [digest.hex(), digest.hex().upper(), "".join(f"{byte:x}" for byte in digest)]


@given(st.binary(max_size=60), st.integers(1, 9), st.integers(0, 2), st.booleans())
def test_the_packet_is_what_the_hash_is_of(packet: bytes, size: int, form: int, ends_so: bool) -> None:
    packet += b"\r\n" if ends_so else b""
    name = forms(packet)[form]
    for body in (packet, packet + b"\r\n"):
        assert asyncio.run(taken(body, name, size)) == packet
    assert asyncio.run(taken(packet, "", size)) == packet
    for wrong in (packet + b"\n", packet + b"\r\n\r\n", packet[:-1] or b"x"):
        if wrong.removesuffix(b"\r\n") != packet and wrong != packet:
            with pytest.raises(Refusal, match="attachment_mismatch"):
                asyncio.run(taken(wrong, name, size))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (r'"[\"H41\",\"H53\",\"H41\"]"', ["H41", "H53"]),
        ('["H41"]', ["H41"]),
        ("H41", ["H41"]),
        ("H41, H53", ["H41", "H53"]),
        ('"H41"', ["H41"]),
        ("[]", []),
        ("", []),
    ],
)
def test_recipients_are_quoted_or_not(text: str, codes: list[str]) -> None:
    assert Parameters(CIMultiDict({"XroadVnpt-to": text})).codes("to") == codes


@pytest.mark.parametrize(
    "text", ["[1]", "[[]]", '"[', "[" * 50_000, json.dumps([str(n) for n in range(1001)])]
)
def test_recipients_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Refusal, match="field_invalid"):
        Parameters(CIMultiDict({"XroadVnpt-to": text})).codes("to")


def test_parameters_come_from_headers_then_from_the_body() -> None:
    given = Parameters(CIMultiDict({"xroadvnpt-DOCID": "1"})).with_body(
        {"docid": "2", "Status": 3, "x": None}
    )
    assert (given.text("docId"), given.text("status"), given.text("x", "-")) == ("1", "3", "-")
    assert given.body_alone().text("docId") == "2"
    for bad in ({"a": []}, {"a": True}, {"a": 1.5}):
        with pytest.raises(Refusal, match="field_invalid"):
            given.with_body(bad).text("a")
    raw = Parameters(CIMultiDict({"XroadVnpt-description": "t\udcffx", "XroadVnpt-docId": '"7"'}))
    assert raw.text("description") == "t\ufffdx"
    assert raw.text("docId") == "7"


@pytest.mark.parametrize("text", ["2026-11-27", "31/02/2026 00:00:00", "1/1/2026 00:00:00"])
def test_times_have_one_form(text: str) -> None:
    with pytest.raises(Refusal, match="field_invalid"):
        Parameters(CIMultiDict({"XroadVnpt-fromDate": text})).time("fromDate")


@given(st.integers(1, 4_000_000_000).map(lambda second: second * 1000))
def test_times_come_back(at: int) -> None:
    assert Parameters(CIMultiDict({"XroadVnpt-fromDate": vietnam_time(at)})).time("fromDate") == at
    assert vietnam_time(0) == ""


def directory(**parents: str) -> Directory:
    made = Directory()
    page = api_pb2.DirectoryPage(as_of=9)
    for number, (code, parent) in enumerate(parents.items(), 1):
        entry = page.entries.add(sequence=number)
        entry.unit.code, entry.unit.parent = code.replace("_", "."), parent
        entry.unit.old_codes.append(f"old.{code}")
    made.take(page)
    return made


def test_a_scope_is_a_subtree_by_any_code() -> None:
    known = directory(G22="", G22_1="G22", G22_1_2="G22.1", H41="", X="Y", Y="X")
    scope = Scope(known, ["old.G22_1"])
    codes = ("G22.1", "G22.1.2", "old.G22_1_2", "G22", "H41", "X", "nobody")
    assert [scope.has(code) for code in codes] == [True, True, True, False, False, False, False]
    unknown: Any = Scope(known, ["later"])
    assert unknown.has("later")


async def test_strangers_cannot_push_known_calls_out_of_the_log(tmp_path: Path) -> None:
    store = Store(tmp_path / "agency.sqlite")
    log = CallLog(store)
    await log.note(Call(NOW, "sendEdoc", "127.0.0.1", "SYS01", authenticated=True))
    for number in range(200):
        await log.note(Call(NOW + number, "getEdoc", "127.0.0.1", "nobody", code="system_unknown"))
    await log.note(Call(NOW + 120_000, "getEdoc", "127.0.0.1", "nobody", code="system_unknown"))
    calls = log.recent(1000)
    assert [call["system_id"] for call in calls] == ["SYS01"] + ["nobody"] * 61
    assert [call["status"] for call in log.recent(2, failed=True)] == ["FAIL", "FAIL"]
    assert [call["operation"] for call in log.recent(9, system_id="SYS01")] == ["sendEdoc"]
    store.close()
