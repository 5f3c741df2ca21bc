from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.schedules import few_words, memory_folder
from tests.simulation.template import Template


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def template(memory: Path) -> Template:
    """What every schedule begins with."""
    folder = memory / "template"
    folder.mkdir()
    return Template.make(folder)


@pytest.fixture
def quietly() -> Iterator[None]:
    with few_words():
        yield
