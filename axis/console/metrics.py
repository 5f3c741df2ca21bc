"""What Prometheus sees of an axis node.

Almost everything is read from the views when it is asked for, so that a number here and the same number in
`axis volumes` are one: nothing drifts, and a restart forgets nothing. Documents only; statuses are counted
apart, under a name of their own. Only what exists in the moment (how long an append took, what was refused to
callers without a certificate) is counted in this process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from axis.views.file import head_of, open_readonly, snapshot
from axis.views.queries import query
from axis.views.rows import DURATION_CLASSES

__all__ = ["ConsoleMetrics"]

_APPEND_CLASSES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class ConsoleMetrics:
    """The node's metrics; an `axis.flow.metrics.Metrics`. `clock` gives milliseconds."""

    def __init__(self, views: Path, clock: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._append = Histogram(
            "axis_journal_append_seconds",
            "How long appending one frame took, durable.",
            buckets=_APPEND_CLASSES,
            registry=self.registry,
        )
        self._records = Counter("axis_journal_records", "Records appended.", registry=self.registry)
        self._head = Gauge("axis_journal_head", "Sequence of the newest record.", registry=self.registry)
        self._ready = Gauge("axis_ready", "1 while the node can accept, as /readyz.", registry=self.registry)
        self._checks = Gauge(
            "axis_check_ok",
            "1 while a check of /readyz?verbose holds.",
            labelnames=["check"],
            registry=self.registry,
        )
        self._views = CollectorRegistry()
        self._from_views = _FromViews(views, clock)
        self._views.register(self._from_views)

    def appended(self, seconds: float, records: int, sequence: int) -> None:
        """A frame landed."""
        self._append.observe(seconds)
        self._records.inc(records)
        self._head.set(sequence)

    def head(self, sequence: int) -> None:
        """Where the journal stands, when nothing has been appended yet."""
        self._head.set(sequence)
        self._from_views.least = self._from_views.least or sequence

    def checked(self, checks: Mapping[str, bool], *, ready: bool) -> None:
        """What /readyz says now: whether each check holds, and whether all that are needed do."""
        self._ready.set(ready)
        for name, ok in checks.items():
            self._checks.labels(name).set(ok)

    def of_process(self) -> bytes:
        """The exposition text of what is counted in this process: a few numbers."""
        return generate_latest(self.registry)

    def of_views(self) -> bytes:
        """The exposition text of what the views say. Reads files, for seconds where there are very many
        units: call it in a thread, and not for everybody who asks.
        """
        return generate_latest(self._views)


class _FromViews(Collector):
    """Reads the views once for each scrape, at one head.

    While they are built anew they count from 0 up again, which would look like a flood of documents: nothing
    is said until they are where they were, or where the journal stood when the node began.
    """

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self._path = path
        self._clock = clock
        self.least = 0

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: registering must not need the file."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families; none while the views cannot be read, or are being built anew."""
        try:
            with closing(open_readonly(self._path)) as views, snapshot(views):
                sequence = head_of(views)
                if sequence < self.least:
                    return
                self.least = sequence
                families = self._families(views)
        except sqlite3.Error:
            return
        yield from families

    def _families(self, views: sqlite3.Connection) -> list[Metric]:
        totals = {row["kind"]: row for row in views.execute(query("metric_totals"))}
        documents, statuses = totals.get("document"), totals.get("status")
        receipts = CounterMetricFamily("axis_receipts", "Receipts counted for documents.", labels=["outcome"])
        for outcome in ("received", "refused"):
            receipts.add_metric([outcome], documents[outcome] if documents else 0)
        rejected = CounterMetricFamily(
            "axis_rejected", "Refused envelopes of known organisations.", labels=["code"]
        )
        for row in views.execute("SELECT code, refused FROM rejections"):
            rejected.add_metric([row["code"]], row["refused"])
        return [
            _counter("axis_documents_accepted", "Documents accepted.", documents, "sent"),
            _counter("axis_statuses_accepted", "Statuses accepted.", statuses, "sent"),
            receipts,
            rejected,
            _gauge("axis_deliveries_in_flight", "Deliveries of documents without an outcome.", documents),
            _seconds(views),
            _units(views),
            self._expiry(views),
        ]

    def _expiry(self, views: sqlite3.Connection) -> Metric:
        family = GaugeMetricFamily(
            "axis_certificate_expiry_seconds",
            "Until the first of an organisation's two newest certificates expires.",
            labels=["org"],
        )
        for row in views.execute(query("metric_expiry")):
            family.add_metric([row["organisation"]], (row["expires"] - self._clock()) / 1000)
        return family


def _counter(name: str, text: str, row: sqlite3.Row | None, column: str) -> Metric:
    return CounterMetricFamily(name, text, value=row[column] if row else 0)


def _gauge(name: str, text: str, row: sqlite3.Row | None) -> Metric:
    return GaugeMetricFamily(name, text, value=row["in_flight"] if row else 0)


def _seconds(views: sqlite3.Connection) -> Metric:
    """The classes of `durations` hold what falls into each; Prometheus wants them summed up."""
    stored = {row[0]: (row[1], row[2]) for row in views.execute("SELECT * FROM durations")}
    buckets, count = [], 0
    for limit in DURATION_CLASSES:
        count += stored.get(limit, (0, 0))[0]
        buckets.append(("+Inf" if limit == float("inf") else str(limit), float(count)))
    seconds = sum(milliseconds for _, milliseconds in stored.values()) / 1000
    family = HistogramMetricFamily("axis_delivery_seconds", "From acceptance to receipt, documents.")
    family.add_metric([], buckets=buckets, sum_value=seconds)
    return family


def _units(views: sqlite3.Connection) -> Metric:
    family = CounterMetricFamily(
        "axis_unit_documents", "Documents of units without a parent.", labels=["unit", "direction"]
    )
    for row in views.execute(query("metric_units")):
        family.add_metric([row["code"], "sent"], row["sent"])
        family.add_metric([row["code"], "received"], row["received"])
    return family
