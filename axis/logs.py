"""Logs: one JSON object a line, one event name for each thing that can happen, the trace id in each.

An event is named in the past tense (`envelope_accepted`, `peer_refused`); what differs from case to case is
in the fields, never in the name. No file content, key, token or secret is ever a field.

The trace id is that of W3C Trace Context: it comes with the request (`traceparent`) or is made here, is
journalled with the record, and travels on with the delivery.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from contextlib import AbstractContextManager
from typing import Final, TextIO, cast

import structlog

__all__ = [
    "bound_trace",
    "configure",
    "get_logger",
    "is_trace_id",
    "new_trace_id",
    "parse_traceparent",
]

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)

#: Without local variables: those may be keys, secrets or file content.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _readable(colors: bool) -> structlog.typing.Processor:
    # The default prints local variables: keys and secrets are among them, and it takes seconds.
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


#: Before anybody configures: a command's standard output is for what it was asked.
structlog.configure(
    processors=[*structlog.get_config()["processors"][:-1], _readable(sys.stderr.isatty())],
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
)


def configure(stream: TextIO | None = None, json: bool = True, level: int = logging.INFO) -> None:
    """Send logs to `stream` (standard error by default), as JSON lines or readable ones. Repeatable."""
    target = stream if stream is not None else sys.stderr
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if json else _readable(target.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([_TRACEBACKS] if json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Standard error as it is when something is logged: it may be replaced meanwhile.
        logger_factory=lambda *_: structlog.PrintLogger(stream if stream is not None else sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(logging.WARNING)


class _FromLibraries(logging.Handler):
    """Turns what libraries log through `logging` into an event of ours, so that a log has one format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it as `library_message`."""
        get_logger().log(
            record.levelno,
            "library_message",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """The logger. Cheap; follows `configure` even when taken before it."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger())


def bound_trace(trace_id: str) -> AbstractContextManager[None]:
    """Within the block every event of this task, and of tasks it starts, carries `trace_id`."""
    return structlog.contextvars.bound_contextvars(trace_id=trace_id)


def new_trace_id() -> str:
    """A fresh random trace id: 32 lower-case hex digits, never all zero."""
    return secrets.token_hex(16)


def is_trace_id(text: str) -> bool:
    """Whether it is a trace id as W3C Trace Context defines it."""
    return _TRACE_ID.fullmatch(text) is not None and bool(int(text, 16))


def parse_traceparent(header: str | None) -> str | None:
    """The trace id of a `traceparent` header; None when there is none or it is malformed.

    W3C Trace Context, section 3.2: a higher version may append fields, version ff and all-zero ids are
    invalid. A malformed header restarts the trace; it never refuses the request.
    """
    match = _TRACEPARENT.fullmatch(header) if header else None
    if match is None:
        return None
    version, trace_id, parent_id, _, more = match.groups()
    if version == "ff" or not int(trace_id, 16) or not int(parent_id, 16) or (version == "00" and more):
        return None
    return trace_id
