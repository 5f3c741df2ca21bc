"""An agency's node: joins with the token of AGENCY_CODE (or AGENCY_TOKEN) unless that is done, then serves.

AGENCY_AXIS: addresses of the axis, separated by commas; else those that init wrote, else the token's own.
One process for both: each start of Python costs a second of a core, and the axis may still be starting.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from agencies.commands.local_node import initialise
from agencies.config import ConfigError
from agencies.fleet import serve
from axis import logs
from axis.control import HomeBusy
from axis.core.errors import Refusal
from axis.durable import write_whole

_ENROLMENT = Path("/enrolment")
_API = "0.0.0.0:8090"
_SECONDS = 120.0
_PAUSE_SECONDS = 0.25


async def main() -> None:
    """Join, then serve until SIGTERM. Raises Refusal, HomeBusy, ConfigError, OSError."""
    home = Path(os.environ["AGENCY_HOME"])
    os.umask(0o077)
    if not (home / "agency.toml").exists():
        await _join(home)
    await serve([home])


async def _join(home: Path) -> None:
    """Asks again while the axis cannot be reached; any other refusal is its answer, and final."""
    token, axis = await _access(home)
    until = time.monotonic() + _SECONDS
    while True:
        try:
            await initialise(home, token, axis, _API)
        except Refusal as refusal:
            if refusal.name != "unavailable" or time.monotonic() > until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def _access(home: Path) -> tuple[str, tuple[str, ...]]:
    """The token and the axis's addresses (none: the token's own)."""
    axis = os.environ.get("AGENCY_AXIS", "")
    token = os.environ.get("AGENCY_TOKEN", "")
    if not token:
        await _init_done()
        code = os.environ["AGENCY_CODE"]
        token = (_ENROLMENT / f"{code}.token").read_text("ascii")
        axis = axis or (_ENROLMENT / "axis").read_text("ascii")
        own = home / "api.token"
        if not own.exists() or not own.stat().st_size:
            write_whole(own, (_ENROLMENT / f"{code}.api").read_bytes())
    return token, tuple(url.strip() for url in axis.split(",") if url.strip())


async def _init_done() -> None:
    """Wait for the last file that init writes."""
    until = time.monotonic() + _SECONDS
    while not (_ENROLMENT / "axis").exists():
        if time.monotonic() > until:
            raise ConfigError("init has not finished: docker-compose logs")
        await asyncio.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    # The first process of a container gets no signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    logs.configure()
    try:
        asyncio.run(main())
    except (Refusal, HomeBusy, ConfigError, OSError) as error:
        print(f"cannot run: {error}", file=sys.stderr)
        sys.exit(1)
