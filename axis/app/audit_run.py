"""One audit of a home's files; as a process of its own for a node that serves meanwhile.

`python -m axis.app.audit_run HOME [--quick]` prints a JSON line now and then, {"what", "done", "of"}, and at
the end {"report", "incomplete"}. It takes the processor only when nobody else wants it. The views must be up.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from axis.app.attachments import shared_attachments
from axis.app.home import Home, read_home
from axis.audit import AuditReport, Progress, audit

__all__ = ["audit_files"]

_TELL_SECONDS: Final = 0.5
_NICE: Final = 15


def audit_files(home: Home, quick: bool, progress: Progress | None = None) -> AuditReport:
    """Audit a home as its files stand, running or not. Raises as `axis.audit.audit`."""
    with shared_attachments(home) as shared:
        return audit(
            home.journal_path,
            home.views_path,
            home.blobs_path,
            anchors=home.anchors.anchors,
            quick=quick,
            # In a cluster no node holds every attachment.
            elsewhere=shared.look if home.settings.journal else None,
            progress=progress,
        )


def _main(home: Path, quick: bool) -> None:
    os.nice(_NICE)
    told = 0.0

    def tell(what: str, done: int, of: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _TELL_SECONDS or done == of:
            told = now
            _print({"what": what, "done": done, "of": of})

    report = audit_files(read_home(home), quick, tell)
    _print({"report": report.as_json(), "incomplete": report.incomplete})


def _print(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), "--quick" in sys.argv[2:])
