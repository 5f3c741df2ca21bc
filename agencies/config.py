"""The agency node's settings: `HOME/agency.toml`, read once at start.

An unknown name or an impossible value is a ConfigError that names it, never ignored.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axis.durable import write_whole

__all__ = [
    "DEFAULT_API",
    "SETTINGS_FILE",
    "ConfigError",
    "PacketPolicy",
    "ReceiptMode",
    "Settings",
    "load",
    "parse_address",
    "save",
]

SETTINGS_FILE: Final = "agency.toml"
DEFAULT_API: Final = "127.0.0.1:8090"

ReceiptMode = Literal["storage", "software"]
PacketPolicy = Literal["report", "refuse"]


class ConfigError(Exception):
    """The settings cannot be read or are wrong; says which and why."""


class UnitSettings(BaseModel):
    """What differs for one of the units that this node hosts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    receipt: ReceiptMode = "storage"


class Settings(BaseModel):
    """Everything in agency.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    axis: Annotated[tuple[str, ...], Field(min_length=1)]  # tried in turn
    api: str = DEFAULT_API
    #: Who says "received": the node when it has verified and stored, or the agency's software.
    receipt: ReceiptMode = "storage"
    units: dict[str, UnitSettings] = {}
    #: Whether an edXML packet whose own signature is invalid is refused, sent or received.
    packet_signature: PacketPolicy = "report"
    submissions: Annotated[int, Field(ge=1, le=256)] = 8  # documents with large attachments, at the same time
    downloads: Annotated[int, Field(ge=1, le=64)] = 8  # at the same time
    max_back_off_seconds: Annotated[float, Field(gt=0)] = 300.0
    #: VXP calls whose stamp is further off are refused. 0: none is, since the real client never renews it.
    vxp_max_skew_minutes: Annotated[float, Field(ge=0)] = 0.0

    @property
    def api_is_local(self) -> bool:
        """Whether only this machine can reach the local API: then it needs no bearer token."""
        host, _ = parse_address(self.api)
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` (`[::1]:8090` for IPv6); ConfigError if it is none. Port 0 means any free one."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def load(home: Path) -> Settings:
    """Read a home's settings. Raises ConfigError, also when the home is none."""
    path = home / SETTINGS_FILE
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{home} is no agency home: run agency init --home {home} --token …") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
    parse_address(settings.api)
    return settings


def save(home: Path, settings: Settings) -> None:
    """Write a home's settings, whole or not at all."""
    lines = [
        "# Settings of this agency node; docs/operations.md lists them all.",
        f"code = {_toml(settings.code)}",
        f"axis = [{', '.join(_toml(url) for url in settings.axis)}]    # tried in turn",
        f"api = {_toml(settings.api)}    # the local HTTP API",
        f"receipt = {_toml(settings.receipt)}    # storage: by the node itself; software: by its user",
    ]
    for name in ("submissions", "downloads", "max_back_off_seconds", "vxp_max_skew_minutes"):
        if getattr(settings, name) != Settings.model_fields[name].default:
            lines.append(f"{name} = {getattr(settings, name)}")
    if settings.packet_signature != "report":
        lines.append(f"packet_signature = {_toml(settings.packet_signature)}")
    for unit, own in sorted(settings.units.items()):
        lines += ["", f"[units.{_toml(unit)}]", f"receipt = {_toml(own.receipt)}"]
    write_whole(home / SETTINGS_FILE, ("\n".join(lines) + "\n").encode())


def _toml(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)
