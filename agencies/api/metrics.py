"""Metrics of an agency node, looked up when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agencies.parts import NodeParts
from agencies.store.found_marks import contents_count
from axis.core.trust import read_certificate

__all__ = ["metrics_text"]

#: Name, help text, what is counted.
_GAUGES: Final = (
    ("agency_outbox_queued", "Documents that wait for the axis", "sent WHERE state = 'queued'"),
    ("agency_outbox_rejected", "Documents that the axis refused", "sent WHERE state = 'rejected'"),
    ("agency_documents_accepted", "Documents that the axis accepted", "sent WHERE state = 'accepted'"),
    (
        "agency_deliveries_in_flight",
        "Deliveries of own documents without an outcome",
        "sent_delivery WHERE state = 'in_flight'",
    ),
    ("agency_inbox_documents", "Documents that came", "received"),
    ("agency_receipts_queued", "Receipts that wait for the axis", "receipt WHERE state = 'queued'"),
    ("agency_receipts_waiting", "Deliveries that wait for the software", "receipt WHERE state = 'waiting'"),
    ("agency_feed_held", "Feed items that could not be finished yet", "held"),
)


class _Node(Collector):
    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Every gauge with its value now."""
        for name, text, counted in _GAUGES:
            row = self._parts.store.row(f"SELECT count(*) FROM {counted}")
            yield GaugeMetricFamily(name, text, value=row[0] if row else 0)
        yield GaugeMetricFamily(
            "agency_contents_lost",
            "Own documents, found again after the home was restored, whose contents nobody has",
            value=contents_count(self._parts.store, "lost"),
        )
        yield GaugeMetricFamily(
            "agency_axis_connected", "1 while the feed is followed", value=int(self._parts.receiver.connected)
        )
        yield GaugeMetricFamily(
            "agency_directory_as_of", "The journal up to here is known", value=self._parts.directory.as_of
        )
        info = read_certificate(self._parts.identity.credentials.sign_certificate)
        left = (info.not_after - self._parts.clock.now()) / 1000
        yield GaugeMetricFamily("agency_certificate_expiry_seconds", "Of the signing certificate", value=left)


def metrics_text(parts: NodeParts) -> bytes:
    """The Prometheus exposition of one node."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Node(parts))
    return generate_latest(registry)
