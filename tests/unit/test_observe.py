"""Alert rules and dashboard: they name nothing that the nodes do not export."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

import agencies.api.metrics
from tests.support.console import desk_in

DEPLOY = Path(__file__).parents[2] / "deploy"
#: A metric in an expression; a histogram's and a counter's are exported under these names.
METRIC = re.compile(r"\b(?:axis|agency)_[a-z_]+")


def expressions() -> list[str]:
    alerts = (DEPLOY / "prometheus/alerts.yml").read_text()
    dashboard = json.loads((DEPLOY / "grafana/document-axis.json").read_text())
    return re.findall(r"^ +expr: (.+)$", alerts, re.MULTILINE) + [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]


@pytest.fixture
async def exported(tmp_path: Path) -> set[str]:
    async with desk_in(tmp_path) as desk:
        desk.metrics.appended(0.001, 1, 1)
        text = await (await desk.get("/metrics")).text()
    names = set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE))
    source = Path(agencies.api.metrics.__file__).read_text()
    return names | set(re.findall(r'"(agency_[a-z_]+)"', source))


async def test_every_metric_that_is_asked_for_is_exported(exported: set[str]) -> None:
    asked = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(asked) > 10
    assert asked <= exported


async def test_what_every_node_counts_of_one_journal_is_never_added_up(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        text = (await asyncio.to_thread(desk.metrics.of_views)).decode()
    journal = set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE))
    assert {"axis_documents_accepted_total", "axis_rejected_total"} <= journal
    asked = [each for each in expressions() if journal.intersection(METRIC.findall(each))]
    assert len(asked) > 5
    assert [each for each in asked if "sum" in METRIC.sub("", each)] == []


def test_every_alert_says_what_to_do() -> None:
    text = (DEPLOY / "prometheus/alerts.yml").read_text()
    assert text.count("- alert: ") == text.count("summary: ") == text.count("action: ") > 5
