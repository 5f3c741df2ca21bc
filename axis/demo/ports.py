"""Where the demonstration's nodes listen: the addresses asked for, or the next free ones, said so."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from axis import config
from axis.demo.processes import StartFailed

__all__ = ["Ports", "agency_api"]

_AGENCY_SETTINGS: Final = "agency.toml"
_TRIES: Final = 1000


class Ports:
    """Gives out each port once.

    A port is looked at and not kept, so another program may still take it; the node that loses says so.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._taken: set[int] = set()

    def free(self, address: str) -> str:
        """`address`, or the same host with the next free port; port 0 means any."""
        host, _, port_text = address.rpartition(":")
        wanted = port = int(port_text)
        for _ in range(_TRIES):
            port = port if wanted else _any_port(host)
            if port not in self._taken and _is_free(host, port):
                break
            port += 1
        else:
            raise StartFailed(f"no free port after {address}")
        self._taken.add(port)
        if wanted and port != wanted:
            self._say(f"port {wanted} is taken, using {port}")
        return f"{host}:{port}"

    def settle(self, home: Path, console: str | None) -> None:
        """Move the nodes of an existing home away from ports that somebody else has taken meanwhile."""
        settings = config.load(home)
        listen, page = self.free(settings.listen), self.free(console or settings.console)
        if (listen, page) != (settings.listen, settings.console):
            config.save(home, settings.model_copy(update={"listen": listen, "console": page}))
        moved = config.load(home).public_url if listen != settings.listen else None
        for agency in sorted((home / "agencies").glob(f"*/{_AGENCY_SETTINGS}")):
            self._settle_agency(agency, moved)

    def _settle_agency(self, path: Path, axis_url: str | None) -> None:
        before = agency_api(path.parent)
        api = self.free(before)
        # The agency's settings are its own module's business; here they are edited as a person would.
        if api != before:
            _replace_line(path, "api", json.dumps(api))
        if axis_url is not None:
            _replace_line(path, "axis", json.dumps([axis_url]))


def agency_api(home: Path) -> str:
    """The address of an agency's local API, from its settings."""
    return str(tomllib.loads((home / _AGENCY_SETTINGS).read_text(encoding="utf-8"))["api"])


def _replace_line(path: Path, name: str, value: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text, count=1)
    if not count:
        raise StartFailed(f"{path} has no line {name} = …")
    path.write_text(changed, encoding="utf-8")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _any_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
