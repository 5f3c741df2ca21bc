"""Once: the axis's home, and for each agency an enrolment token and a bearer token of its node's API.

For a cluster (NATS_SERVERS) also the keys by which its servers and nodes know each other, and the second
node's home. Run again it makes only what is missing; no node is running yet when something is. One process,
because each start of a command costs a second of a core, and everything waits for this.
"""

from __future__ import annotations

import asyncio
import csv
import os
import secrets
import sys
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from shutil import copytree
from typing import Any

from axis.app.home import SystemClock, give_cluster_keys, init_home, join_home, set_journal
from axis.app.node import open_home
from axis.app.operations import operations
from axis.durable import write_whole
from certs.cluster import AXIS_NODE, make_cluster_keys

_ENROLMENT = Path("/enrolment")
_CLUSTER = Path("/cluster")
_SECOND = Path("/axis-2")
_LISTEN = "0.0.0.0:8443"
_CONSOLE = "0.0.0.0:8080"
_NAMES = ("axis", "axis-1", "axis-2")
#: A unit for whoever points software at the VXP API; the traffic never addresses it.
_VXP = {"code": "G22.VXP", "name": "Văn phòng Chính phủ – phần mềm quản lý văn bản", "parent": "G22"}


def main() -> None:
    """Everything, in the order in which the later needs the earlier."""
    home = Path(os.environ["AXIS_HOME"])
    os.umask(0o077)
    if not (home / "axis.toml").exists():
        init_home(home, _LISTEN, _CONSOLE, _NAMES)
    units = os.environ["UNITS"].split()
    _keep_api_tokens(units)
    missing = [code for code in units if not _file(code, "token").exists()]
    if missing:
        asyncio.run(_register(home, missing))
    servers = os.environ.get("NATS_SERVERS", "").split()
    if servers and not (_SECOND / "axis.toml").exists():
        _make_cluster(home, servers)
    # Agencies wait for this file: where the axis is.
    write_whole(_ENROLMENT / "axis", os.environ["AXIS_ADDRESSES"].encode())
    print(f"ready for {', '.join(units)}", file=sys.stderr)


def _keep_api_tokens(units: Iterable[str]) -> None:
    for code in units:
        if not _file(code, "api").exists():
            write_whole(_file(code, "api"), secrets.token_urlsafe(32).encode())


async def _register(home: Path, missing: Iterable[str]) -> None:
    """All units that the axis connected in its first year, the VXP client's, and tokens for those without."""
    async with open_home(home) as node:
        act = operations(node, serving=False)
        await act["org.import"]({"rows": _rows()})
        await act["org.add"](_VXP)
        for code in missing:
            answer: Any = await act["org.token"]({"code": code})
            write_whole(_file(code, "token"), str(answer["token"]).encode())


def _make_cluster(home: Path, servers: list[str]) -> None:
    """A server gets its own key and nothing else; the second node all but the certificate authority."""
    make_cluster_keys(_CLUSTER, {server: [] for server in servers}, SystemClock().now())
    for server in servers:
        copytree(_CLUSTER / server, Path("/") / server / "tls", dirs_exist_ok=True)
    give_cluster_keys(home, _CLUSTER / AXIS_NODE)
    set_journal(home, f"nats://{','.join(servers)}")
    join_home(home, _SECOND, _LISTEN, _CONSOLE)


def _file(code: str, kind: str) -> Path:
    return _ENROLMENT / f"{code}.{kind}"


def _rows() -> list[dict[str, str]]:
    text = resources.files("axis.demo").joinpath("units.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


if __name__ == "__main__":
    main()
