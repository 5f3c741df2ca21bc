"""Log lines are JSON, carry the trace id, and never hold local variables."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from axis.logs import (
    bound_trace,
    configure,
    get_logger,
    new_trace_id,
    parse_traceparent,
)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure(stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_the_trace_id(lines: io.StringIO) -> None:
    with bound_trace("ab" * 16):
        get_logger().info("envelope_accepted", to="G22", subject="Quyết định 274")
    get_logger().debug("not_shown")
    get_logger().info("node_ready")
    first, second = read(lines)
    assert first["event"] == "envelope_accepted"
    assert first["trace_id"] == "ab" * 16
    assert first["subject"] == "Quyết định 274"
    assert first["level"] == "info"
    assert "trace_id" not in second


def test_an_exception_is_logged_without_local_variables(lines: io.StringIO) -> None:
    def fail(secret: str) -> None:
        raise ValueError("no")

    try:
        fail("do-not-show-" + "x" * 3)
    except ValueError:
        get_logger().exception("operation_failed")
    assert "do-not-show-xxx" not in lines.getvalue()
    assert "ValueError" in lines.getvalue()


def test_what_libraries_log_has_the_same_format(lines: io.StringIO) -> None:
    logging.getLogger("somebody").warning("odd %s", "thing")
    (line,) = read(lines)
    assert line["event"] == "library_message"
    assert (line["logger"], line["message"]) == ("somebody", "odd thing")


def test_a_trace_id_survives_the_header() -> None:
    trace_id = new_trace_id()
    assert parse_traceparent(f"00-{trace_id}-{'1' * 16}-01") == trace_id


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'1' * 16}-01-more",
    ],
)
def test_a_malformed_traceparent_restarts_the_trace(header: str | None) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_of_traceparent_may_be_longer() -> None:
    assert parse_traceparent(f"01-{'1' * 32}-{'1' * 16}-01-more") == "1" * 32


def test_an_exception_before_anybody_configures_is_logged_without_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(secret: str) -> None:
        raise ValueError(len(secret))

    try:
        fail("a token")
    except ValueError:
        get_logger().exception("failed")
    told = capsys.readouterr().err
    assert "ValueError: 7" in told
    assert "in fail" in told
    assert "secret =" not in told
    assert "'a token'" not in told
