"""The service manager's side: the units are good and tight, and real nodes tell it how they are."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axis.supervisor import supervised

pytestmark = pytest.mark.e2e

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
#: systemd's own measure: 0.0 is shut tight, 10.0 wide open; times ten.
MOST_EXPOSED = 15
PROGRAMS = "/opt/document-axis/bin"


def analyze(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are, but for the programs: this environment's."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for path in folder.iterdir():
        path.write_text(path.read_text("utf-8").replace(PROGRAMS, str(Path(sys.executable).parent)), "utf-8")
    return folder


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    names = [path.name for path in units.iterdir() if path.suffix in {".service", ".timer"}]
    instances = []
    for name in names:
        instance = name.replace("@.", "@G14.")
        (units / name).rename(units / instance)
        instances.append(f"./{instance}")
    found = analyze("verify", "--man=no", *instances, cwd=units)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert len(instances) >= 7


def test_a_mistake_in_a_unit_is_found(units: Path) -> None:
    spoilt = (units / "axis.service").read_text("utf-8").replace("WatchdogSec=", "WatchDogSec=")
    (units / "axis.service").write_text(spoilt, "utf-8")
    assert "WatchDogSec" in analyze("verify", "--man=no", "./axis.service", cwd=units).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_leaves_little_open(name: str, units: Path) -> None:
    found = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", name, cwd=units)
    assert found.returncode == 0, found.stdout[-300:]


@pytest.mark.parametrize("name", ["axis.service", "agency@.service", "nats.service"])
def test_an_open_unit_would_not_pass(name: str, units: Path) -> None:
    lines = (units / name).read_text("utf-8").splitlines()
    loose = [line for line in lines if not re.match("Protect|Private|Restrict|SystemCall|Capability", line)]
    (units / name).write_text("\n".join(loose), "utf-8")
    found = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", name, cwd=units)
    assert found.returncode != 0


def test_users_and_folders_of_the_units_are_declared() -> None:
    users = (UNITS / "document-axis.sysusers").read_text("utf-8")
    folders = (UNITS / "document-axis.tmpfiles").read_text("utf-8")
    for name in SERVICES:
        unit = (UNITS / name).read_text("utf-8")
        user = re.search(r"^User=(\w+)$", unit, re.MULTILINE)
        assert user is not None
        assert re.search(rf"^u {user[1]} ", users, re.MULTILINE), name
        for folder in re.findall(r"/var/(?:lib|backups)/(?:axis|agency|nats)\b", unit):
            assert re.search(rf"^d {folder} +0700 {user[1]} ", folders, re.MULTILINE), folder


class Manager:
    """What a service manager does for a unit of Type=notify: a datagram socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def heard(self) -> str:
        return self._socket.recv(4096).decode()

    @contextlib.contextmanager
    def unit(self, *command: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
        environment = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "200000", "PATH": "/usr/bin:/bin"}
        with (cwd / f"{self.path.name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], stdout=log, stderr=log, cwd=cwd, env=environment, text=True
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(30)
            self._socket.close()


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def follow_to_the_end(manager: Manager, process: subprocess.Popen[str]) -> None:
    """Alive again and again; told to stop it says so, lives no more, and ends well."""
    assert [manager.heard() for _ in range(3)] == ["WATCHDOG=1"] * 3
    process.send_signal(signal.SIGTERM)
    last = [manager.heard()]
    while last[-1] == "WATCHDOG=1":
        last.append(manager.heard())
    assert last[-1] == "STOPPING=1"
    assert process.wait(30) == 0


def test_real_nodes_tell_their_manager_when_they_are_ready_alive_and_stopping(tmp_path: Path) -> None:
    run(
        "axis.cli",
        "init",
        "--home",
        "ax",
        "--listen",
        "127.0.0.1:0",
        "--console",
        "127.0.0.1:0",
        cwd=tmp_path,
    )
    manager = Manager(tmp_path / "axis.sock")
    with manager.unit("axis.cli", "serve", "--home", "ax", cwd=tmp_path) as process:
        ready = manager.heard().splitlines()
        assert ready[0] == "READY=1"
        assert re.fullmatch(r"STATUS=serving at https://127\.0\.0\.1:\d+", ready[1]), ready
        # Ready is meant: what it says it serves answers now.
        added = json.loads(
            run("axis.cli", "org", "add", "G14", "--home", "ax", "--name", "A", "--json", cwd=tmp_path)
        )
        run(
            "agencies.cli",
            "init",
            "--home",
            "G14",
            "--api",
            "127.0.0.1:0",
            "--token",
            added["token"],
            cwd=tmp_path,
        )
        own = Manager(tmp_path / "agency.sock")
        with own.unit("agencies.cli", "serve", "--home", "G14", cwd=tmp_path) as agency:
            assert own.heard() == "READY=1\nSTATUS=serving G14"
            follow_to_the_end(own, agency)
        while manager.heard() != "WATCHDOG=1":
            pass
        follow_to_the_end(manager, process)


@pytest.mark.parametrize("gone", ["", "/nowhere/manager.sock", "@nobody-listens-here"])
async def test_a_node_that_nobody_listens_to_goes_on(gone: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with supervised("serving", {"NOTIFY_SOCKET": gone, "WATCHDOG_USEC": "1000000"}):
        pass
    assert ("supervisor_not_told" in capsys.readouterr().err) is bool(gone)


async def test_a_name_without_a_file_and_somebody_elses_watchdog() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # the kernel chooses an abstract name
        address = "@" + manager.getsockname()[1:].decode()
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
        async with supervised("serving\nall", environment, pid=2):
            pass
        heard = [manager.recv(4096), manager.recv(4096)]
    assert heard == [b"READY=1\nSTATUS=serving all", b"STOPPING=1"]
