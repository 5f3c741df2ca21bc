"""A Docker engine: the one that runs, else one of our own with its own data folder and socket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.compose.running import Failed, run, say

__all__ = ["ROOT", "Engine", "find", "own", "stop", "stop_ours"]

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".compose"
_START_SECONDS = 60.0
_PACKAGES = ["docker.io", "docker-compose", "iptables"]


@dataclass(frozen=True, slots=True)
class Engine:
    """Where an engine listens; `ours` if this program started it just now."""

    host: str
    ours: bool


def _folder() -> Path:
    """For socket and pid: short, since a socket's path has at most 108 bytes. One for each checkout."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"axis-docker-{os.getuid()}-{name}"


def find() -> Engine | None:
    """An engine that answers: ours, or the machine's."""
    hosts = [f"unix://{_folder()}/docker.sock", os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")]
    return next((Engine(host, False) for host in hosts if _answers(host)), None)


def own() -> Engine:
    """The engine in use; where none is, install and start one. Raises Failed."""
    _install()
    engine = find()
    if engine is not None:
        say(f"Docker engine at {engine.host}")
        return engine
    if os.getuid() != 0:
        raise Failed("no Docker engine answers, and only root can start one")
    return _start()


def _install() -> None:
    missing = [name for name in ("docker", "docker-compose") if shutil.which(name) is None]
    if not missing and (find() is not None or shutil.which("dockerd")):
        return
    if os.getuid() != 0:
        raise Failed("install first: docker.io docker-compose")
    say("installing Debian's docker.io and docker-compose")
    # Without Debian's own service: the engine that we start is ours to stop.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run(["apt-get", "update", "-qq"], 180, env=env)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES], 300, env=env)


def _start() -> Engine:
    folder, data = _folder(), STATE / "engine"
    folder.mkdir(mode=0o700, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    host = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--data-root", str(data), "--exec-root", str(folder / "exec")]
    command += ["-H", host, "-p", str(folder / "docker.pid")]
    with (STATE / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(host):
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            raise Failed(f"dockerd did not start: see {STATE / 'engine.log'}")
        time.sleep(0.2)
    say(f"started a Docker engine at {host}")
    return Engine(host, True)


def stop(engine: Engine) -> None:
    """End the engine if this program started it."""
    if engine.ours:
        stop_ours()


def stop_ours() -> None:
    """End this checkout's engine, if it runs; its data stays for the next time."""
    folder = _folder()
    try:
        number = int((folder / "docker.pid").read_text())
        if "dockerd" not in Path(f"/proc/{number}/cmdline").read_text():
            return
    except (OSError, ValueError):
        return
    os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{number}").exists() and not _ended(number):
        if time.monotonic() > deadline:
            os.kill(number, signal.SIGKILL)
            break
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
    say("stopped the Docker engine")


def _ended(number: int) -> bool:
    """Whether it has ended; a child of ours is taken off the list."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(number, os.WNOHANG)[0] == number
    return not Path(f"/proc/{number}").exists()


def _answers(host: str) -> bool:
    if shutil.which("docker") is None:
        return False
    command = ["docker", "--host", host, "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
