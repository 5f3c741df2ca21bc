"""The small parts of an agency node: back-off, heads, tokens, settings, names, volumes, the API's guard."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from agencies import config
from agencies.backoff import back_off, wait_for_signal
from agencies.clock import SystemClock
from agencies.config import ConfigError, Settings
from agencies.desk.requests import DocumentInput
from agencies.desk.spool import Spool, safe_name
from agencies.events import Events
from agencies.http.guard import Guard, bearer_token
from agencies.link.enrol import Token
from agencies.store import counting
from agencies.store.database import Store
from axis.blobs.memory import MemoryBlobs
from axis.core.errors import Refusal

DAY = 24 * 3600 * 1000


def test_back_off_doubles_up_to_its_cap_with_jitter() -> None:
    assert [back_off(n, 60, lambda: 1.0) for n in (0, 1, 5, 6, 1000)] == [1000, 2000, 32000, 60000, 60000]
    assert back_off(3, 60, lambda: 0.0) == 4000
    assert back_off(0, 60, lambda: 0.0, at_least=30) == 30_000


async def test_a_signal_cuts_a_wait_short() -> None:
    signal = asyncio.Event()
    signal.set()
    async with asyncio.timeout(30):
        await wait_for_signal(signal, SystemClock(), 1000)
        signal.clear()
        await wait_for_signal(signal, SystemClock(), 0.001)


def token(**changes: Any) -> str:
    members = {
        "url": "https://axis:8443",
        "anchor_sha256": "ab" * 32,
        "code": "G22",
        "expires_at": 1,
        "secret": base64.urlsafe_b64encode(bytes(32)).decode().rstrip("="),
    }
    text = json.dumps(members | changes).encode()
    return "axis1." + base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_a_token_is_read() -> None:
    read = Token.parse(f" {token()}\n")
    assert (read.url, read.code, len(read.secret)) == ("https://axis:8443", "G22", 32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "axis1.",
        "axis1.!!!",
        token()[6:],
        token(code="../x"),
        token(secret="AA"),
        token(anchor_sha256=""),
        "axis1.e30",
    ],
)
def test_a_damaged_token_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        Token.parse(text)
    assert refused.value.name == "token_invalid"


def test_settings_are_written_and_read_again(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "code": "G22",
            "axis": ["https://a:1", "https://b:2"],
            "units": {"G22.VXP": {"receipt": "software"}},
            "submissions": 4,
        }
    )
    config.save(tmp_path, settings)
    assert config.load(tmp_path) == settings
    assert settings.units["G22.VXP"].receipt == "software"


@pytest.mark.parametrize(
    "text",
    ["", 'code = "G22"', 'code = "G22"\naxis = ["u"]\nresubmit = 1', 'code = "G22"\naxis = ["u"]\napi = "x"'],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "agency.toml").write_text(text)
    with pytest.raises(ConfigError):
        config.load(tmp_path)


def test_only_loopback_needs_no_token() -> None:
    made = {
        api: Settings(code="G22", axis=("u",), api=api).api_is_local
        for api in ("127.0.0.1:1", "[::1]:1", "localhost:1", "0.0.0.0:1", "10.0.0.1:1", "example.org:1")
    }
    assert list(made.values()) == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Báo cáo.pdf", "Báo cáo.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\x.exe", "x.exe"),
        (".bashrc", "bashrc"),
        ("a\x00b\n.pdf", "a_b_.pdf"),
        ("..", "attachment-3"),
        ("", "attachment-3"),
    ],
)
def test_names_choose_no_place(name: str, safe: str) -> None:
    assert safe_name(name, 3) == safe


def test_long_names_keep_their_ending() -> None:
    safe = safe_name("ệ" * 255 + ".pdf", 0)
    assert safe.endswith(".pdf")
    assert len(safe.encode()) <= 200


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("T%E1%BB%87p%201.pdf", "Tệp 1.pdf"),
        ("100% %22x%22.pdf", '100% "x".pdf'),
        ("a%ZZ.pdf", "a%ZZ.pdf"),
        ("/x/y.pdf", "y.pdf"),
    ],
)
async def test_a_forms_file_name_is_what_was_meant(tmp_path: Path, name: str, kept: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(200_000)

    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "left-over").touch()
    blobs = MemoryBlobs()
    spool = Spool(tmp_path / "spool", blobs, SystemClock())
    stored = await spool.take(name, "", chunks())
    assert (stored.row.name, stored.row.media_type, stored.row.size) == (kept, "application/pdf", 600_000)
    assert blobs.size(stored.row.sha256) == 600_000
    assert list((tmp_path / "spool").iterdir()) == []


def request(path: str = "/v1/inbox", **headers: str) -> Any:
    return make_mocked_request(
        "GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Host": "127.0.0.1:8090"}, True),
        ({"Host": "localhost:8090"}, True),
        ({"Host": "[::1]:8090"}, True),
        ({"Host": "localhost:8090", "Origin": "http://localhost:8090"}, True),
        ({"Host": "rebound.example:8090"}, False),
        ({"Host": "localhost:8090", "Origin": "https://evil.example"}, False),
        ({"Host": "localhost:8090", "Sec_Fetch_Site": "cross-site"}, False),
    ],
)
def test_no_web_page_reaches_the_local_api(headers: dict[str, str], allowed: bool) -> None:
    if allowed:
        Guard(None).check(request(**headers))
        return
    with pytest.raises(Refusal):
        Guard(None).check(request(**headers))


def test_elsewhere_a_token_is_needed(tmp_path: Path) -> None:
    from aiohttp import web

    secret = bearer_token(tmp_path)
    assert secret == bearer_token(tmp_path)
    assert (tmp_path / "api.token").stat().st_mode & 0o777 == 0o600
    guard = Guard(secret)
    guard.check(request(Host="agency:8090", Authorization=f"Bearer {secret}"))
    guard.check(request("/livez", Host="agency:8090"))
    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer é"}):
        with pytest.raises(web.HTTPUnauthorized):
            guard.check(request(Host="agency:8090", **wrong))


def test_an_empty_token_lets_nobody_in(tmp_path: Path) -> None:
    """A power cut may leave the file without its bytes."""
    path = tmp_path / "api.token"
    for nothing in ("", " \n"):
        path.write_text(nothing)
        secret = bearer_token(tmp_path)
        assert len(secret) > 30
        assert path.read_text().strip() == secret
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="empty"):
        Guard("")


async def test_events_are_kept_and_waited_for() -> None:
    events = Events()
    assert not await events.beyond(0, 0.001)
    waiting = [asyncio.create_task(events.beyond(0, 5)) for _ in range(3)]
    await asyncio.sleep(0)
    events.publish([("a", {}), ("b", {})])
    assert await asyncio.gather(*waiting) == [True] * 3
    assert [event.name for event in events.after(1)] == ["b"]


async def test_volumes_by_unit_month_and_day(tmp_path: Path) -> None:
    store = Store(tmp_path / "agency.sqlite")
    # 2026-01-31 20:00 in Hà Nội, and the day after.
    first = 1_769_864_400_000
    second = first + DAY

    def fill(c: Any) -> None:
        for event, unit, attempt, at in (
            ("sent", "G22", 0, first),
            ("addressed", "G22", 1, first),
            ("addressed", "G22.A", 1, first),
            ("received", "G22", 1, second),
            ("dead", "G22.A", 1, first),
            ("requeued", "G22.A", 2, second),
        ):
            counting.count(
                c, event, document_id="d", unit=unit, attempt=attempt, kind="document",
                at=at, accepted_at=first, size=10,
            )  # fmt: skip

    await store.write(fill)
    await store.write(fill)  # the feed was read again
    everything = dict(counting.volumes(store))
    assert (everything["G22"].sent, everything["G22"].received, everything["G22"].late) == (1, 1, 1)
    assert (everything["G22.A"].dead, everything["G22.A"].requeued, everything["G22.A"].in_flight) == (
        1,
        1,
        1,
    )
    february = dict(counting.volumes(store, month="2026-02"))
    assert (february["G22"].in_flight_before, february["G22"].received, february["G22"].in_flight) == (
        1,
        1,
        0,
    )
    days = dict(counting.volumes(store, by="day"))
    assert list(days) == ["2026-01-31", "2026-02-01"]
    assert (days["2026-01-31"].in_flight, days["2026-02-01"].in_flight_before) == (1, 1)
    for _, counts in (*everything.items(), *february.items(), *days.items()):
        assert counts.identity_holds()
    store.close()


def test_every_input_field_reaches_the_header() -> None:
    document = DocumentInput.model_validate(
        {
            "to": ["G14"],
            "from": "G22.A",
            "subject": "S",
            "number": "274",
            "notation": "QĐ-TTg",
            "type_name": "Quyết định",
            "priority": 2,
            "due_date": "2026-12-01",
            "content": "C",
            "signer": {"full_name": "N"},
            "response_for": [{"organ_id": "G14", "code": "1/X"}],
            "business": {
                "doc_type": 3,
                "replacements": [{"document_id": "x", "organ_ids": ["G14"]}],
                "staff": {"staff": "A"},
            },
            "steering_type": 1,
            "to_places": ["P"],
            "appendixes": ["A"],
        }
    )
    fields = document.fields()
    assert (fields.code_number, fields.other.priority, fields.type.name) == ("274", 2, "Quyết định")
    assert (fields.business.replacements[0].organ_ids[0], fields.business.staff.staff) == ("G14", "A")
    assert (fields.signer.full_name, fields.response_for[0].code) == ("N", "1/X")
    assert document.from_ == "G22.A"
