"""The image: a base that is pulled or made, wheels beside the Dockerfile, and the build."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from deploy.compose.engine import ROOT, Engine
from deploy.compose.running import Failed, run, say

__all__ = ["IMAGE", "build"]

IMAGE = "document-axis:local"
_PYTHON = "python:3.11-slim-bookworm"
_MADE = "document-axis-base:bookworm"
_PULL_SECONDS = 60.0
_MIRROR = "http://deb.debian.org/debian"


def build(engine: Engine) -> str:
    """Build the image; its base image. Raises Failed."""
    env = {"DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "0"}
    base = os.environ.get("BASE_IMAGE") or _base(env)
    _wheels()
    say(f"building {IMAGE} on {base}")
    command = ["docker", "build", "--network=none", "--build-arg", f"BASE_IMAGE={base}", "-t", IMAGE]
    run([*command, str(ROOT)], 300, env=env)
    return base


def _base(env: dict[str, str]) -> str:
    """Python's image where it can be had, else Debian's own Python from debootstrap."""
    for image in (_PYTHON, _MADE):
        if run(["docker", "images", "--quiet", image], 30, env=env).strip():
            return image
    try:
        run(["docker", "pull", "--quiet", _PYTHON], _PULL_SECONDS, env=env)
    except Failed:
        say(f"{_PYTHON} cannot be pulled; making a base image with debootstrap")
    else:
        return _PYTHON
    if shutil.which("debootstrap") is None:
        noninteractive = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], 180, env=noninteractive)
        run(["apt-get", "install", "-y", "-qq", "debootstrap"], 120, env=noninteractive)
    with tempfile.TemporaryDirectory() as folder:
        _debootstrap(Path(folder) / "root", env)
    return _MADE


def _debootstrap(root: Path, env: dict[str, str]) -> None:
    command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv"]
    run([*command, "bookworm", str(root), _mirror()], 300)
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["tar", "-C", str(root), "-c", "."], stdout=archive, timeout=120, check=True)
        archive.seek(0)
        subprocess.run(
            ["docker", "import", "-", _MADE],
            stdin=archive,
            stdout=subprocess.DEVNULL,
            timeout=120,
            check=True,
            env={**os.environ, **env},
        )


def _mirror() -> str:
    """The mirror that this machine's apt uses."""
    for path in (*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list")):
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            for word in line.split():
                if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                    return word
    return _MIRROR


def _wheels() -> None:
    """Fill wheels/ with what pyproject.toml needs, as constraints.txt pins it; cheap when it is there."""
    wanted = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        wanted.update((ROOT / name).read_bytes())
    folder = ROOT / "wheels"
    stamp = folder / "made-for"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return
    say("collecting wheels")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["cluster"]
    needed += project["build-system"]["requires"]
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
    run([*command, "--constraint", str(ROOT / "constraints.txt"), *needed], 240)
    stamp.write_text(wanted.hexdigest())
