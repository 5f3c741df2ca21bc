"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from bench.nats import NatsCluster

# How long an example takes is the machine's business: a busy one must not fail a test.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One cluster for all tests: each has streams of its own."""
    cluster = NatsCluster(tmp_path_factory.mktemp("nats"))
    cluster.start_all()
    yield cluster
    cluster.stop()
