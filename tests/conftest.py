"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.nats import NatsCluster


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One cluster for all tests: each has streams of its own."""
    cluster = NatsCluster(tmp_path_factory.mktemp("nats"))
    cluster.start_all()
    yield cluster
    cluster.stop()
