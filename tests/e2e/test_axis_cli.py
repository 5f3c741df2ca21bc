"""The axis's command line beside a running node and beside a stopped one, and the node as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def axis(*arguments: str, status: int = 0, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"AXIS_HOME": str(home)} if home else {})}
    command = [sys.executable, "-m", "axis.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == status, done.stderr
    return done


def as_json(*arguments: str, home: Path) -> Any:
    return json.loads(axis(*arguments, "--json", home=home).stdout)


@contextmanager
def node(home: Path) -> Iterator[str]:
    """A serving node; its ready line. Ends it in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "axis.cli", "serve", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield line
        process.send_signal(signal.SIGTERM)
        rest, logs = process.communicate(timeout=30)
        assert process.returncode == 0, logs
        assert not rest, "one line on standard output"
        events = [json.loads(entry)["event"] for entry in logs.splitlines()]
        assert events[-1] == "node_stopped"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "axis"
    axis("init", "--home", str(path), "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0")
    return path


def test_a_new_home_keeps_its_keys_to_itself(home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("keys/tls.key", "keys/sign.key", "pki/root.key", "pki/issuing.key", "journal.sqlite"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    axis("init", "--home", str(home), status=2)
    certificates = as_json("cert", "list", home=home)["certificates"]
    assert [(row["org"], row["usage"]) for row in certificates] == [("axis", "tls"), ("axis", "sign")]


def test_the_register_beside_a_stopped_node(home: Path, tmp_path: Path) -> None:
    units = tmp_path / "units.csv"
    units.write_text("code,old_code,name\nG01,000.00.00.G01,Bộ Công an\nG01.A,,Cục A\n", encoding="utf-8")
    assert as_json("org", "import", str(units), home=home) == {"units": 2, "changed": 2}
    token = as_json("org", "add", "G22", "--name", "Văn phòng", "--old-code", "000.00.00.G22", home=home)
    assert set(token) == {"code", "token", "expires_at"}
    listed = as_json("org", "list", home=home)["organisations"]
    assert [(row["code"], row["parent"], row["old_code"]) for row in listed] == [
        ("G01", None, "000.00.00.G01"),
        ("G01.A", "G01", None),
        ("G22", None, "000.00.00.G22"),
    ]
    assert as_json("org", "suspend", "G01.A", "--reason", "test", home=home)["changed"]
    assert as_json("org", "show", "G01.A", home=home)["state"] == "suspended"
    assert as_json("org", "resume", "G01.A", home=home)["changed"]
    assert "G01.A" in axis("org", "show", "G01", home=home).stdout
    heading, first = axis("org", "list", home=home).stdout.splitlines()[:2]
    assert heading.startswith("code\told_code\tname")
    assert first.startswith("G01\t")
    assert axis("org", "token", "G22", home=home).stdout.startswith("axis1.")


def test_beside_a_running_node(home: Path) -> None:
    with node(home) as line:
        match = re.fullmatch(
            r"axis ready: agency API https://127\.0\.0\.1:\d+, console (http://127\.0\.0\.1:\d+)/\?token=(\S+)\n",
            line,
        )
        assert match is not None, line
        console, token = match.groups()
        as_json("org", "add", "H26", "--name", "Hà Nội", home=home)
        assert "H26" in axis("org", "list", home=home).stdout
        serial = as_json("cert", "list", home=home)["certificates"][1]["serial"]
        assert as_json("cert", "revoke", serial, "--reason", "superseded", home=home)["usage"] == "sign"
        assert "revoked" in axis("cert", "list", home=home).stdout
        for path in ("/livez", "/readyz", "/metrics"):
            with urllib.request.urlopen(console + path, timeout=30) as answer:
                assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{console}/api/v1/volumes", timeout=30)
        request = urllib.request.Request(
            f"{console}/api/v1/volumes", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["rows"]
    with node(home):
        assert "H26" in axis("org", "list", home=home).stdout, "started again"


def test_answers_that_are_no(home: Path) -> None:
    nobody = "01920000-0000-7000-8000-000000000000"
    for arguments, code in (
        (("org", "show", "X9"), "sender_not_registered"),
        (("org", "suspend", "X9"), "field_invalid"),
        (("cert", "revoke", "abcd", "--reason", "superseded"), "certificate_unknown"),
        (("requeue", nobody, "--to", "G22"), "document_unknown"),
        (("close", nobody, "--to", "G22", "--reason", "x"), "document_unknown"),
    ):
        done = axis(*arguments, status=1, home=home)
        assert done.stderr.startswith(f"refused [{code}]: ")
        assert not done.stdout


def test_what_cannot_run(home: Path, tmp_path: Path) -> None:
    assert "is no axis home" in axis("org", "list", status=2, home=tmp_path).stderr
    axis("org", "import", str(tmp_path / "nothing.csv"), status=2, home=home)
    for journal, word in (("nats://x", "keys/cluster"), ("x", "nats://HOST:PORT")):
        assert word in axis("serve", "--journal", journal, status=2, home=home).stderr
        axis("org", "list", home=home)  # the home stays as it was
    axis("init", "--home", str(tmp_path / "new"), "--listen", "nonsense", status=2)
    axis("org", "list", "--nonsense", status=2, home=home)
    broken = tmp_path / "broken"
    broken.mkdir()
    for text, word in (
        ("listn = 1", "listn"),
        ("[limits]\nconnections = 0", "connections"),
        ("x", "Expected"),
    ):
        (broken / "axis.toml").write_text(text)
        assert word in axis("org", "list", status=2, home=broken).stderr


def test_help_is_quick_and_lists_every_command() -> None:
    listed = axis("--help").stdout
    for command in (
        "init",
        "serve",
        "org",
        "cert",
        "log",
        "volumes",
        "show",
        "audit",
        "views",
        "doctor",
        "demo",
    ):
        assert command in listed
