"""A VXP client to try: a unit of its own below the first agency, that the traffic never addresses.

Its receipts wait for the client's `updateStatus`. The secret is kept beside the demo's home, so that a demo
that goes on with its home shows the same one.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from axis import control
from axis.demo.launch import Agency, LocalAxis
from axis.demo.processes import NodeProcess, StartFailed

__all__ = ["VxpAccess", "vxp_access"]

_SYSTEM_ID: Final = "DEMO"
_FILE: Final = "vxp-demo.json"
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class VxpAccess:
    """What an adapter's developer needs."""

    endpoint: str
    system_id: str
    secret: str
    unit: str

    def as_json(self) -> dict[str, str]:
        """For the demo's summary."""
        return {
            "endpoint": self.endpoint,
            "system_id": self.system_id,
            "secret": self.secret,
            "unit": self.unit,
        }


async def vxp_access(axis: LocalAxis) -> VxpAccess:
    """The client of the first agency's node, made where it is missing. Raises StartFailed."""
    agency = axis.agencies[0]
    unit = f"{agency.code}.VXP"
    path = axis.home / _FILE
    if not path.exists():
        name = f"{agency.name} – phần mềm quản lý văn bản"
        add = {"code": unit, "name": name, "parent": agency.code}
        await control.call(axis.home, "org.add", add, timeout=30.0)
        _keep(path, await _secret(agency, unit))
    secret = str(json.loads(path.read_text("utf-8"))["secret"])
    return VxpAccess(f"{agency.api_url}/vxp", _SYSTEM_ID, secret, unit)


async def _secret(agency: Agency, unit: str) -> str:
    """Of a new client; a new one of a client whose secret is not known any more."""
    added = await _agency(agency, "add", _SYSTEM_ID, "--org", unit)
    if added is None:
        added = await _agency(agency, "rotate", _SYSTEM_ID)
    if added is None:
        raise StartFailed(f"agency vxp add {_SYSTEM_ID}: refused")
    return str(added["secret"])


async def _agency(agency: Agency, *arguments: str) -> dict[str, str] | None:
    """`agency vxp …`; None where the answer is no. Raises StartFailed where it cannot run."""
    options = ("--home", str(agency.home), "--json")
    process = await asyncio.create_subprocess_exec(
        *NodeProcess("agencies.cli", ["vxp", *arguments, *options], agency.home).command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
    if process.returncode == 1:
        return None
    if process.returncode:
        raise StartFailed(f"agency vxp {arguments[0]}: {errors.decode(errors='replace').strip()}")
    found: dict[str, str] = json.loads(output)
    return found


def _keep(path: Path, secret: str) -> None:
    """The owner's only, and whole or not at all."""
    partial = path.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"system_id": _SYSTEM_ID, "secret": secret}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
