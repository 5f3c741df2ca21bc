"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from bench.nats import NatsCluster

# How long an example takes is the machine's business: a busy one must not fail a test.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

#: Tests that are not traced for coverage of the core and the flow: folders, or files by how their names
#: begin. Tracing takes half as long again, and these reach nothing there that the others do not.
_NOT_TRACED = {
    "chaos": ("test_",),
    "contract": ("test_",),
    "simulation": ("test_",),
    "browser": ("test_",),
    "unit": (
        "test_agency_",
        "test_edxml_",
        "test_views_commands",
        "test_views_p",
        "test_console",
        "test_vxp_",
    ),
    "e2e": (
        "test_cluster",
        "test_deployment",
        "test_edxml_",
        "test_journey_",
        "test_packet_",
        "test_prometheus",
        "test_vxp",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trace what is near to the core and the flow only."""
    for item in items:
        if item.path.name.startswith(_NOT_TRACED.get(item.path.parent.name, ())):
            item.add_marker("no_cover")


#: How logs are before anything has configured them.
_LOGS = structlog.get_config()


@pytest.fixture(autouse=True)
def _logs_as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """Commands that run within the tests' process, fixtures of any scope included, set how much is logged:
    for themselves only. The simulation chooses for itself.
    """
    if request.path.parent.name != "simulation":
        structlog.configure(**_LOGS)
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One cluster for all tests: each has streams of its own."""
    cluster = NatsCluster(tmp_path_factory.mktemp("nats"))
    cluster.start_all()
    yield cluster
    cluster.stop()
