"""What a running node is made of, for those who serve it to others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agencies.axis_client import AxisClient
from agencies.config import Settings
from agencies.directory_sync import DirectorySync
from agencies.events import Events
from agencies.identity import Identity
from agencies.own_certificates import OwnCertificates
from agencies.packets import Packets
from agencies.receiver import Receiver
from agencies.service import Service
from agencies.spool import Spool
from agencies.statuses import Statuses
from agencies.store import Store
from axis.ports import Blobs, Clock

__all__ = ["NodeParts"]


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The pieces, wired."""

    version: str
    settings: Settings
    clock: Clock
    store: Store
    blobs: Blobs
    spool: Spool
    identity: Identity
    client: AxisClient
    directory: DirectorySync
    events: Events
    receiver: Receiver
    own_certificates: OwnCertificates
    service: Service
    statuses: Statuses
    packets: Packets
    stopping: asyncio.Event
    #: Held while a system's right to a unit is looked up and used: two systems may ask for one new code.
    registering: asyncio.Lock = field(default_factory=asyncio.Lock)
