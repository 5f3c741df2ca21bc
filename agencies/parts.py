"""What a running node is made of, for those who serve it to others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agencies.config import Settings
from agencies.desk.packets import Packets
from agencies.desk.service import Service
from agencies.desk.spool import Spool
from agencies.desk.statuses import Statuses
from agencies.events import Events
from agencies.flow.own_certificates import OwnCertificates
from agencies.flow.receiver import Receiver
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.store.database import Store
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
