from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.template import Template


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder, in memory where the machine has one for that: simulated disks are not this test's disk."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=shared if shared.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(memory: Path) -> Template:
    """What every schedule begins with."""
    folder = memory / "template"
    folder.mkdir()
    return Template.make(folder)
