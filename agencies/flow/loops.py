"""What goes between the node and the axis as long as the node runs, wired: outbox and receipts one way, the
feed the other, and documents of its own that it does not know any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agencies.backoff import Random
from agencies.config import ReceiptMode, Settings
from agencies.events import Events
from agencies.flow.fetch import Fetcher
from agencies.flow.found_again import FoundAgain
from agencies.flow.handling import Handler
from agencies.flow.own_certificates import OwnCertificates
from agencies.flow.pump import Pump
from agencies.flow.receipts import ReceiptSender
from agencies.flow.receiver import Receiver
from agencies.flow.recovery import Recovery
from agencies.flow.shipment import Shipments
from agencies.identity import Identity
from agencies.link.axis_client import AxisClient
from agencies.link.directory_sync import DirectorySync
from agencies.packet_signatures import PacketSignatures
from agencies.store.database import Store
from agencies.units import primary
from axis.ports import Blobs, Clock

__all__ = ["Loops"]


class Loops:
    """The loops of one node. `receipt_mode` says of a unit who receipts for it; see `receipt_modes`."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        blobs: Blobs,
        client: AxisClient,
        directory: DirectorySync,
        identity: Identity,
        events: Events,
        clock: Clock,
        random: Random,
        signatures: PacketSignatures,
        own_certificates: OwnCertificates,
        receipt_mode: Callable[[str], ReceiptMode],
    ) -> None:
        own: dict[str, Any] = {"store": store, "clock": clock}
        recovery = Recovery(**own, heads=client.heads, directory=directory, events=events, stored=self.wake)
        fetcher = Fetcher(client, blobs, clock, settings.downloads)
        loop = own | {
            "client": client,
            "random": random,
            "events": events,
            "settings": settings,
            "head_unknown": recovery.head_unknown,
        }
        shipments = Shipments(
            **own,
            client=client,
            identity=identity,
            directory=directory,
            blobs=blobs,
            random=random,
            events=events,
            max_back_off_seconds=settings.max_back_off_seconds,
            head_unknown=recovery.head_unknown,
        )
        self.pump = Pump(**own, shipments=shipments, random=random, large_at_once=settings.submissions)
        self.receipts = ReceiptSender(
            **loop, identity=identity, directory=directory, own_certificates=own_certificates
        )
        self._found = FoundAgain(**own, fetcher=fetcher, signatures=signatures, random=random, events=events)
        self.receiver = Receiver(
            **loop,
            directory=directory,
            handler=Handler(
                **own,
                identity=identity,
                primary=lambda code: primary(directory.directory, code),
                receipt_mode=receipt_mode,
                own_certificates=own_certificates,
                doubt=directory.doubt,
                signatures=signatures,
            ),
            own_certificates=own_certificates,
            fetcher=fetcher,
            stored=self._stored,
            reconnected=self.wake,
        )

    def wake(self) -> None:
        """Look at once at all that waits for the axis."""
        self.pump.wake()
        self._stored()

    @property
    def work(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs until it is cancelled, by name."""
        return {
            "pump": self.pump.run,
            "receipts": self.receipts.run,
            "feed": self.receiver.run,
            "held": self.receiver.run_held,
            "found": self._found.run,
        }

    def _stored(self) -> None:
        self.receipts.wake()
        self._found.wake()
