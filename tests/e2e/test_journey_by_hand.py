"""What the README tells a person to type, typed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.country import free_port

pytestmark = pytest.mark.e2e


def run(*command: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=cwd)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done


def axis(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "axis.cli", *arguments, cwd=cwd, check=check)


def agency(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "agencies.cli", *arguments, cwd=cwd, check=check)


@contextlib.contextmanager
def serving(module: str, home: str, cwd: Path) -> Iterator[str]:
    with (cwd / f"{home}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--home", home],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=cwd,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (cwd / f"{home}.log").read_text()
        yield line
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


def join(code: str, name: str, cwd: Path) -> int:
    token = json.loads(axis("org", "add", code, "--home", "ax", "--name", name, "--json", cwd=cwd).stdout)
    assert token["code"] == code
    assert {"token", "expires_at"} <= token.keys()
    port = free_port()
    agency("init", "--home", code, "--api", f"127.0.0.1:{port}", "--token", token["token"], cwd=cwd)
    return port


def test_a_first_exchange_by_hand_and_with_curl(tmp_path: Path) -> None:
    listen, console = free_port(), free_port()
    axis(
        *("init", "--home", "ax", "--listen", f"127.0.0.1:{listen}", "--console", f"127.0.0.1:{console}"),
        cwd=tmp_path,
    )
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 \x00\xff" * 1000)
    with serving("axis.cli", "ax", tmp_path) as ready:
        assert f"{listen}" in ready
        assert f"http://127.0.0.1:{console}/?token=" in ready
        sender = join("G14", "Bộ Thông tin và Truyền thông", tmp_path)
        receiver = join("G22", "Văn phòng Chính phủ", tmp_path)
        with serving("agencies.cli", "G14", tmp_path), serving("agencies.cli", "G22", tmp_path):
            by_command(tmp_path)
            by_curl(tmp_path, sender, receiver)
    # The homes stand still: every question is answered all the same.
    assert axis("audit", "--home", "ax", cwd=tmp_path).returncode == 0
    volumes = json.loads(axis("volumes", "--home", "ax", "--json", cwd=tmp_path).stdout)
    assert volumes["total"]["received"] == 2
    assert len(json.loads(agency("inbox", "--home", "G22", "--json", cwd=tmp_path).stdout)["documents"]) == 2


def by_command(cwd: Path) -> None:
    sent = agency(
        *("send", "report.pdf", "--home", "G14", "--to", "G22", "--subject", "Báo cáo tháng", "--wait"),
        cwd=cwd,
    )
    document_id = sent.stdout.strip()
    assert len(document_id.split("\n")) == 1
    agency("save", document_id, "--home", "G22", "--out", "received", cwd=cwd)
    assert (cwd / "received" / "report.pdf").read_bytes() == (cwd / "report.pdf").read_bytes()
    refused = agency(
        *("send", "report.pdf", "--home", "G14", "--to", "X99", "--subject", "?", "--wait"),
        cwd=cwd,
        check=False,
    )
    assert refused.returncode == 1
    assert "[recipient_unknown]" in refused.stderr


def by_curl(cwd: Path, sender: int, receiver: int) -> None:
    post = run(
        *("curl", "-sS", "-H", "Idempotency-Key: 1"),
        *("-F", 'document={"to":["G22"],"subject":"Qua curl"};type=application/json'),
        *("-F", "file=@report.pdf;type=application/pdf"),
        f"http://127.0.0.1:{sender}/v1/documents",
        cwd=cwd,
    )
    accepted = json.loads(post.stdout)
    assert accepted["state"] == "queued"
    document_id = accepted["document_id"]
    after = ""
    for _ in range(30):  # each call waits up to two seconds for news
        page = json.loads(
            run("curl", "-sS", f"http://127.0.0.1:{receiver}/v1/inbox?wait=2&after={after}", cwd=cwd).stdout
        )
        after = page["next"]
        if any(each["document_id"] == document_id for each in page["documents"]):
            break
    else:
        pytest.fail("the document did not arrive")
    url = f"http://127.0.0.1:{receiver}/v1/inbox/{document_id}/attachments/0"
    run("curl", "-sS", "-o", "by-curl.pdf", url, cwd=cwd)
    assert (cwd / "by-curl.pdf").read_bytes() == (cwd / "report.pdf").read_bytes()
