"""The axis node's settings: `HOME/axis.toml`, each with a default and a limit.

Read once at start. An unknown name or a value out of range is a ConfigError that names it, never ignored:
a misspelt setting would otherwise be a default in force that nobody meant.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError

from axis.durable import write_whole

__all__ = ["SETTINGS_FILE", "Address", "ConfigError", "Limits", "Settings", "load", "parse_address", "save"]

SETTINGS_FILE: Final = "axis.toml"
DEFAULT_LISTEN: Final = "127.0.0.1:8443"
DEFAULT_CONSOLE: Final = "127.0.0.1:8080"

#: (host, port)
Address = tuple[str, int]


class ConfigError(Exception):
    """The settings cannot be read or are wrong; says which and why."""


class Limits(BaseModel):
    """What one caller may ask for. Sizes in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_second: Annotated[float, Field(gt=0)] = 2000.0  # of one organisation, sustained
    request_burst: Annotated[int, Field(ge=1)] = 4000
    concurrent_requests: Annotated[int, Field(ge=1)] = 256  # of one organisation, open polls included
    concurrent_uploads: Annotated[int, Field(ge=1)] = 64  # of all organisations
    connections: Annotated[int, Field(ge=1)] = 4096
    handshake_seconds: Annotated[float, Field(gt=0)] = 10.0
    idle_seconds: Annotated[float, Field(gt=0)] = 60.0  # without a byte from the client
    stop_seconds: Annotated[float, Field(gt=0)] = 10.0  # for requests under way when the node stops
    token_days: Annotated[int, Field(ge=1, le=90)] = 7


class Settings(BaseModel):
    """Everything in axis.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = DEFAULT_LISTEN
    console: str = DEFAULT_CONSOLE
    names: tuple[str, ...] = ()
    #: Proxies before the console whose X-Forwarded-For is believed.
    trusted_proxies: tuple[IPvAnyAddress, ...] = ()
    #: What enrolment tokens tell nodes to connect to; empty: the first name, else the listening address.
    url: str = ""
    #: The journal of several nodes, nats://HOST:PORT,HOST:PORT,…; empty: this home's own file alone.
    journal: str = ""
    #: Where the certificate authority lives; empty: HOME/pki if it exists, else none.
    issuer_home: str = ""
    limits: Limits = Limits()

    @property
    def public_url(self) -> str:
        """The address that enrolment tokens carry."""
        if self.url:
            return self.url.rstrip("/")
        host, port = parse_address(self.listen)
        if self.names:
            host = self.names[0]
        elif host in ("0.0.0.0", "::"):
            host = "localhost"
        return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def parse_address(text: str) -> Address:
    """Split `HOST:PORT` (`[::1]:8443` for IPv6); ConfigError if it is none. Port 0 means any free one."""
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
        raise ConfigError(f"{home} is no axis home: run axis init --home {home}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
    parse_address(settings.listen)
    parse_address(settings.console)
    return settings


def save(home: Path, settings: Settings) -> None:
    """Write what differs from the defaults, and where to find the rest; whole or not at all."""
    lines = [
        "# Settings of this axis node; docs/operations.md lists them all.",
        f"listen = {_toml(settings.listen)}    # the agency API",
        f"console = {_toml(settings.console)}   # the operator's pages, health and metrics",
    ]
    if settings.names:
        lines.append(f"names = [{', '.join(_toml(name) for name in settings.names)}]")
    if settings.trusted_proxies:
        lines.append(
            f"trusted_proxies = [{', '.join(_toml(str(proxy)) for proxy in settings.trusted_proxies)}]"
        )
    if settings.url:
        lines.append(f"url = {_toml(settings.url)}")
    if settings.journal:
        lines.append(f"journal = {_toml(settings.journal)}")
    if settings.issuer_home:
        lines.append(f"issuer_home = {_toml(settings.issuer_home)}")
    changed = settings.limits.model_dump(exclude_defaults=True)
    if changed:
        lines += ["", "[limits]", *(f"{name} = {value}" for name, value in changed.items())]
    write_whole(home / SETTINGS_FILE, ("\n".join(lines) + "\n").encode())


def _toml(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False)
