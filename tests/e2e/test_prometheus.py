"""A real Prometheus scrapes real nodes by the configuration in deploy/, and promtool judges its rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.country import country_in, free_port
from tests.support.prometheus import DEPLOY, Address, prometheus

pytestmark = pytest.mark.e2e

RULES = DEPLOY / "prometheus"
METRIC = re.compile(r"\b(?:axis|agency)_[a-z_]+")
#: A histogram is exported under these names, and described under its own.
OF_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


def address(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def promtool(*arguments: str, folder: Path = RULES) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_finds_nothing_wrong_with_configuration_and_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    rules = (RULES / "alerts.yml").read_text().count("- alert: ")
    assert f"SUCCESS: {rules} rules found" in promtool("check", "rules", "alerts.yml")


def test_the_configuration_in_the_documentation_can_be_pasted(tmp_path: Path) -> None:
    told = (DEPLOY.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(global:\n.*?)```", told, re.DOTALL)
    assert "static_configs" in example
    (tmp_path / "prometheus.yml").write_text(example, encoding="utf-8")
    shutil.copy(RULES / "alerts.yml", tmp_path)
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", folder=tmp_path)
    jobs = set(re.findall(r'job="(\w+)"', (RULES / "alerts.yml").read_text(encoding="utf-8")))
    assert set(re.findall(r"job_name: (\w+)", example)) == jobs


def test_alerts_fire_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml")
    rules, tested = ((RULES / name).read_text() for name in ("alerts.yml", "alerts.test.yml"))
    for alert in re.findall(r"- alert: (\w+)", rules):
        assert re.search(f'alertname(="|: ){alert}\\b', tested), alert


async def test_what_happened_on_the_axis_is_what_prometheus_has(tmp_path: Path) -> None:
    async with country_in(tmp_path) as country:
        for code in ("G22", "H41"):
            await country.join(code)
            await country.start(code)
        sent = await country.post("G22", {"to": ["H41"], "subject": "Quyết định"}, b"%PDF")
        assert (await country.outcome("G22", sent["document_id"]))["state"] == "delivered"
        nodes = [address(node.api_url) for node in country.nodes.values()]
        console = address(country.axis.console_url)
        async with prometheus(tmp_path / "prometheus", free_port(), console, nodes) as found:
            wanted = {
                'up{job="axis"}': 1.0,
                'sum(up{job="agency"})': 2.0,
                "axis_ready": 1.0,
                "axis_documents_accepted_total": 1.0,
                'axis_receipts_total{outcome="received"}': 1.0,
                'axis_receipts_total{outcome="refused"}': 0.0,
                "axis_deliveries_in_flight": 0.0,
                "axis_delivery_seconds_count": 1.0,
                'axis_unit_documents_total{unit="G22",direction="sent"}': 1.0,
                'axis_unit_documents_total{unit="H41",direction="received"}': 1.0,
                "axis_journal_head": float(country.axis.node.journal.head().sequence),
                "sum(agency_documents_accepted)": 1.0,
                "sum(agency_inbox_documents)": 1.0,
            }
            assert await found.values(wanted) == wanted
            for text in expressions():
                await found.get("query", query=text)
            described = set(await found.get("metadata"))
            rules = (await found.get("rules"))["groups"][0]["rules"]
    alerts = re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text())
    assert [rule["name"] for rule in rules] == alerts
    asked = {OF_HISTOGRAM.sub("", name) for text in expressions() for name in METRIC.findall(text)}
    assert len(asked) > 10
    assert asked <= described, "rules and dashboard ask for what the nodes export"


def expressions() -> list[str]:
    """Everything that the rules and the dashboard ask for."""
    dashboard = json.loads((DEPLOY / "grafana/document-axis.json").read_text())
    return re.findall(r"^ +expr: (.+)$", (RULES / "alerts.yml").read_text(), re.MULTILINE) + [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ]
