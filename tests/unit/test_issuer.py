"""The issuer process: what crosses the pipes, and that it ends with its parent, however that ends."""

import asyncio
import contextlib
import fcntl
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import certs.issuer
from axis.core.errors import Refusal
from axis.core.trust import read_certificate
from axis.ports import Issuer
from certs import service
from certs.authority import Authority
from certs.issuer import IssuerProcess

AT = 1_795_000_000_000


def request() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


TLS, SIGN = request(), request()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Authority.create(tmp_path / "pki", AT)
    return tmp_path / "pki"


@pytest.fixture
async def issuer(home: Path) -> AsyncIterator[IssuerProcess]:
    process = await IssuerProcess.start(home, restart_pause=0)
    yield process
    await process.close()


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has fetched yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def refused(answer: Any) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        await answer
    return caught.value.name, caught.value.detail


async def test_the_port(issuer: IssuerProcess) -> None:
    port: Issuer = issuer
    tls, sign = await port.issue(organisation="G22", tls_request=TLS, sign_request=SIGN)
    assert (read_certificate(tls).usage, read_certificate(sign).usage) == ("tls", "sign")
    assert await port.issue(organisation="G22", tls_request=TLS, sign_request=SIGN) == (tls, sign)
    serial = read_certificate(sign).serial
    await port.revoke(serial, "superseded", AT)
    common = {"organisation": "G22"}
    assert await port.listed() == [
        common
        | {"usage": "tls", "serial": read_certificate(tls).serial, "certificate": tls}
        | {"revoked_at": None, "reason": ""},
        common
        | {"usage": "sign", "serial": serial, "certificate": sign}
        | {"revoked_at": AT, "reason": "superseded"},
    ]


async def test_the_list_is_fetched_page_by_page(
    issuer: IssuerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await issuer.issue(organisation="G22", tls_request=TLS, sign_request=SIGN)
    monkeypatch.setattr(certs.issuer, "PAGE", 2)
    assert len(await issuer.listed()) == 2


async def test_refusals_cross_the_pipes(issuer: IssuerProcess) -> None:
    name, detail = await refused(issuer.issue(organisation="G22", tls_request=TLS, sign_request=b"x"))
    assert (name, detail.split(":")[0]) == ("field_invalid", "sign_request")
    assert (await refused(issuer.revoke("abc", "superseded", AT)))[0] == "certificate_unknown"
    assert (await refused(issuer.revoke(None, {}, AT)))[0] == "unavailable"  # type: ignore[arg-type]
    assert await issuer.listed() == []


async def test_many_callers_take_turns(issuer: IssuerProcess) -> None:
    codes = [f"G{number}" for number in range(10)]
    pairs = await asyncio.gather(
        *(issuer.issue(organisation=code, tls_request=TLS, sign_request=SIGN) for code in codes)
    )
    assert [read_certificate(tls).organisation for tls, _ in pairs] == codes


async def test_it_ends_when_closed(issuer: IssuerProcess) -> None:
    pid = issuer.pid
    assert pid is not None
    assert is_running(pid)
    await issuer.close()
    await issuer.close()
    assert not is_running(pid)
    assert issuer.pid is None
    assert await refused(issuer.listed()) == ("unavailable", "the issuer is closed")


async def test_one_that_hangs_is_ended_on_closing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs.issuer, "_CLOSE_LIMIT", 0.05)
    issuer = await IssuerProcess.start(home)
    assert issuer.pid is not None
    os.kill(issuer.pid, signal.SIGSTOP)
    await issuer.close()


async def test_it_is_started_again_after_kill_9(issuer: IssuerProcess) -> None:
    first = issuer.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # The request that meets the failure may be answered "not now", a later one is served.
    for _ in range(5):
        with contextlib.suppress(Refusal):
            await issuer.listed()
    assert await issuer.listed() == []
    assert issuer.pid not in (None, first)


async def test_no_answer_in_time(home: Path) -> None:
    issuer = await IssuerProcess.start(home, restart_pause=0)
    issuer._limit = 0.1
    first = issuer.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    assert (await refused(issuer.listed()))[0] == "unavailable"
    assert not is_running(first)
    issuer._limit = 10
    assert await issuer.listed() == []
    await issuer.close()


async def test_a_cancelled_request_leaves_no_answer_behind(issuer: IssuerProcess) -> None:
    assert issuer.pid is not None
    os.kill(issuer.pid, signal.SIGSTOP)
    task = asyncio.create_task(issuer.revoke("abc", "superseded", AT))
    await asyncio.sleep(0)  # let it ask
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await issuer.listed() == []


async def test_after_a_failure_it_pauses(home: Path) -> None:
    issuer = await IssuerProcess.start(home, limit=10, restart_pause=600)
    issuer._limit = 0.1
    assert issuer.pid is not None
    os.kill(issuer.pid, signal.SIGSTOP)
    assert (await refused(issuer.listed()))[0] == "unavailable"
    assert await refused(issuer.listed()) == ("unavailable", "the issuer failed a moment ago")
    await issuer.close()


async def test_an_answer_too_large(issuer: IssuerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs.issuer, "MAX_MESSAGE_BYTES", 1)
    assert (await refused(issuer.listed()))[0] == "unavailable"
    assert issuer.pid is None


async def test_no_authority_no_issuer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (await refused(IssuerProcess.start(tmp_path / "nowhere")))[0] == "unavailable"
    assert "no authority in" in capfd.readouterr().err


async def test_it_cannot_be_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(home / "nothing"))
    assert await refused(IssuerProcess.start(home)) == ("unavailable", "the issuer cannot be started")


async def test_it_holds_no_lock_and_no_listening_socket(home: Path, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_EX)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    issuer = await IssuerProcess.start(home)
    held = {os.readlink(link) for link in Path(f"/proc/{issuer.pid}/fd").iterdir()}
    inode = os.fstat(server.sockets[0].fileno()).st_ino
    assert str(tmp_path / "lock") not in held
    assert f"socket:[{inode}]" not in held
    os.close(lock)
    again = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)
    server.close()
    await server.wait_closed()
    await issuer.close()


PARENT = """
import asyncio, os, subprocess, sys
from pathlib import Path
from certs.issuer import IssuerProcess

async def main():
    issuer = await IssuerProcess.start(Path(sys.argv[1]))
    other = 0
    if sys.argv[2] == "shared":
        pipe = issuer._process.stdin.transport.get_extra_info("pipe").fileno()
        other = subprocess.Popen(["sleep", "60"], pass_fds=[pipe], stdout=subprocess.DEVNULL).pid
    print(issuer.pid, other, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("pipe", ["own", "shared"])
def test_it_ends_with_a_parent_that_is_killed(home: Path, pipe: str) -> None:
    command = [sys.executable, "-c", PARENT, str(home), pipe]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, other = map(int, parent.stdout.readline().split())
        process = os.pidfd_open(pid)
        assert is_running(pid)
        parent.kill()
    readable, _, _ = select.select([process], [], [], 60)
    os.close(process)
    assert readable, "the issuer outlived its parent"
    if other:
        os.kill(other, signal.SIGKILL)


def test_it_does_not_outlive_a_parent_that_was_gone_already(home: Path) -> None:
    command = [sys.executable, "-m", "certs.issuer", "--home", str(home), "--parent", "1"]
    done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


# --- the service without a process --------------------------------------------------------------------------


def served(home: Path, data: bytes) -> list[Any]:
    sink = io.BytesIO()
    service.serve(Authority.open(home), io.BytesIO(data), sink, lambda: AT)
    answers, reply = [], sink.getvalue()
    while reply:
        (size,) = service.LENGTH.unpack(reply[:4])
        answers.append(json.loads(reply[4 : 4 + size]))
        reply = reply[4 + size :]
    return answers


def message(value: object) -> bytes:
    body = json.dumps(value).encode()
    return service.LENGTH.pack(len(body)) + body


HELLO = message({"operation": "hello"})


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (b"", 0),
        (HELLO * 2, 2),
        (HELLO + b"\x00\x00", 1),
        (HELLO + HELLO[:-1], 1),
        (HELLO + b"\xff\xff\xff\xff" + HELLO, 1),
    ],
)
def test_it_answers_until_the_requests_end(home: Path, data: bytes, answers: int) -> None:
    assert served(home, data) == [{"answer": "ready"}] * answers


def test_a_defect_is_an_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown, hello = served(home, message({"operation": "sing"}) + HELLO)
    assert unknown["code"] == "unavailable"
    assert hello == {"answer": "ready"}
    assert "KeyError" in capsys.readouterr().err
