"""The images: those that are pulled or made, wheels beside the Dockerfile, and the build."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.compose.engine import ROOT, Engine
from deploy.compose.running import Failed, run, say

__all__ = ["IMAGE", "build", "images_here"]

IMAGE = "document-axis:local"
_NOBODY = 65534
_PULL_SECONDS = 60.0
_MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True, slots=True)
class _Image:
    """An image as it is published, and how to make one that serves as well."""

    published: str
    made: str
    packages: Sequence[str]
    #: A folder that is the unprivileged user's.
    data: str = ""
    changes: Sequence[str] = ()


_PYTHON = _Image("python:3.11-slim-bookworm", "document-axis-base:bookworm", ("python3", "python3-venv"))
_PROMETHEUS = _Image(
    "prom/prometheus:v3.5.0",
    "document-axis-prometheus:bookworm",
    ("prometheus",),
    data="prometheus",
    changes=('ENTRYPOINT ["prometheus"]', f"USER {_NOBODY}:{_NOBODY}"),
)


def build(engine: Engine, profile: str) -> dict[str, str]:
    """Build the image; what docker-compose.yml is to know of images. Raises Failed."""
    env = {"DOCKER_HOST": engine.host, "DOCKER_BUILDKIT": "0"}
    images = {"BASE_IMAGE": os.environ.get("BASE_IMAGE") or _found(_PYTHON, env)}
    if profile == "observe":
        images["PROMETHEUS_IMAGE"] = os.environ.get("PROMETHEUS_IMAGE") or _found(_PROMETHEUS, env)
    _wheels()
    say(f"building {IMAGE} on {images['BASE_IMAGE']}")
    command = ["docker", "build", "--network=none", "--build-arg", f"BASE_IMAGE={images['BASE_IMAGE']}"]
    run([*command, "-t", IMAGE, str(ROOT)], 300, env=env)
    return images


def images_here(engine: Engine) -> dict[str, str]:
    """What docker-compose.yml is to know of the images that the engine has, as `build` gives it."""
    env = {"DOCKER_HOST": engine.host}
    here = {"BASE_IMAGE": _here(_PYTHON, env), "PROMETHEUS_IMAGE": _here(_PROMETHEUS, env)}
    return {name: image for name, image in here.items() if image}


def _here(wanted: _Image, env: Mapping[str, str]) -> str:
    """The name under which the engine has it; empty where it has not."""
    names = (wanted.published, wanted.made)
    return next((n for n in names if run(["docker", "images", "--quiet", n], 30, env=env).strip()), "")


def _found(wanted: _Image, env: Mapping[str, str]) -> str:
    """The published image where it can be had, else one made of Debian's packages with debootstrap."""
    if here := _here(wanted, env):
        return here
    try:
        run(["docker", "pull", "--quiet", wanted.published], _PULL_SECONDS, env=env)
    except Failed:
        say(f"{wanted.published} cannot be pulled; making one with debootstrap")
    else:
        return wanted.published
    if shutil.which("debootstrap") is None:
        noninteractive = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], 180, env=noninteractive)
        run(["apt-get", "install", "-y", "-qq", "debootstrap"], 120, env=noninteractive)
    with tempfile.TemporaryDirectory() as folder:
        _debootstrap(wanted, Path(folder) / "root", env)
    return wanted.made


def _debootstrap(wanted: _Image, root: Path, env: Mapping[str, str]) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(wanted.packages)}"]
    run([*command, "bookworm", str(root), _mirror()], 300)
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    if wanted.data:
        (root / wanted.data).mkdir()
        os.chown(root / wanted.data, _NOBODY, _NOBODY)
    changes = [argument for change in wanted.changes for argument in ("--change", change)]
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["tar", "-C", str(root), "-c", "."], stdout=archive, timeout=120, check=True)
        archive.seek(0)
        subprocess.run(
            ["docker", "import", *changes, "-", wanted.made],
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
