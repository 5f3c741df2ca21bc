"""A console in front of a little history, for tests by wire and by browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from axispb.v1 import journal_pb2

from axis.console.accounts import Accounts, new_token, token_sha256
from axis.console.acts import Acts
from axis.console.app import Sources, create_console
from axis.console.health import Check
from axis.console.metrics import ConsoleMetrics
from axis.console.roles import Role
from axis.control import Operation
from axis.core.errors import Refusal
from axis.core.state import reduce
from axis.flow.directory import DirectoryPages
from axis.journal.memory import MemoryJournal
from axis.views.projection import Views
from bench.history import History, Signers

__all__ = ["DAY", "START", "TOKEN", "Desk", "desk_in"]

TOKEN = "a-token-of-this-run"
START = 1_795_000_000_000
DAY = 86_400_000


class Runs:
    """Audits as a test says they are."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.refusal: Refusal | None = None

    def all(self) -> list[dict[str, Any]]:
        return self.kept

    async def start(self, by: str, quick: bool) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        run: dict[str, Any] = {
            "id": str(START + len(self.kept)), "at": START, "by": by, "quick": quick, "state": "running",
            "seconds": None, "detail": "", "report": None,
            "progress": {"what": "records", "done": 7, "of": 12},
        }  # fmt: skip
        self.kept.insert(0, run)
        return run


@dataclass
class Desk:
    """A console in front of a little history."""

    client: TestClient
    history: History
    metrics: ConsoleMetrics
    #: Why the node is not ready, and why its pages are behind.
    broken: list[str]
    views: Views
    accounts: Accounts
    #: The acts that were done: the operation's name and what it was given.
    done: list[tuple[str, dict[str, Any]]]
    #: What the next acts are refused with.
    refuse: list[Refusal]
    #: What the acts answer, by operation; nothing otherwise.
    answers: dict[str, dict[str, Any]]
    #: When nodes were last heard of.
    contacts: dict[str, int]
    runs: Runs
    #: The clock of log-ins.
    seconds: list[float]

    async def operator(self, role: Role) -> str:
        """Someone with this role: their bearer token."""
        token = new_token()
        self.accounts.add(f"op{role}{len(self.accounts.all())}", role, token=token_sha256(token), at=1)
        return token

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.client.host}:{self.client.port}"

    async def catch_up(self) -> None:
        """What the history holds is to be seen."""
        await self.history.flush()
        self.views.catch_up(self.history.journal)

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        return await self.client.get(path, headers=headers, allow_redirects=False)

    async def api(self, path: str) -> Any:
        response = await self.get(path, Authorization=f"Bearer {TOKEN}")
        assert response.status == 200
        return await response.json()


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    """A console whose views follow what `catch_up` is told of the history."""
    signers = Signers(folder / "pki", START)
    history = History(MemoryJournal("j", reduce), START, signers.axis_id, signers.sign)
    await history.found()
    for certificate in signers.certificates("axis"):
        await history.issue(certificate)
    await history.register("G22", "Văn phòng <Chính phủ>", old_codes=["000.00.00.G22"])
    await history.register("G14", "Bộ Tư pháp")
    await history.register("G14.01", "Cục Hộ tịch", parent="G14")
    sent = await history.send("G22", ["G14", "G14.01"], [100], "Quyết định <b>số</b> 274", "274")
    await history.move(3000)
    await history.take(sent, "G14")
    await history.take(sent, "G14.01", reason="sai nơi nhận")
    await history.send("G14", ["G22"])
    await history.report("G14", "G22", sent.document_id)
    await history.add(rejected=journal_pb2.Rejected(organisation="G14", code="id_reused", count=3))
    await history.flush()
    views = Views.open(folder / "views.sqlite")
    views.catch_up(history.journal)
    metrics = ConsoleMetrics(views.path, lambda: history.now)
    broken: list[str] = []
    contacts: dict[str, int] = {}
    sources = Sources(
        views,
        history.journal.record,
        metrics,
        lambda: (
            Check("journal", "what is decided is appended", broken[0] if broken else ""),
            Check("views", "pages show what there is", broken[1] if broken[1:] else "", required=False),
        ),
        lambda: history.now,
        contacts=lambda: contacts,
        directory=DirectoryPages(history.journal).newest,
    )
    accounts = Accounts(folder)
    done: list[tuple[str, dict[str, Any]]] = []
    refuse: list[Refusal] = []
    answers: dict[str, dict[str, Any]] = {}
    runs = Runs()
    seconds = [0.0]

    def operation(name: str) -> Operation:
        async def act(arguments: dict[str, Any]) -> dict[str, Any]:
            if refuse:
                raise refuse.pop(0)
            done.append((name, arguments))
            return answers.get(name, {})

        return act

    names = (
        "document.requeue",
        "document.close",
        "org.add",
        "org.token",
        "org.suspend",
        "org.resume",
        "cert.revoke",
    )
    console = create_console(
        sources,
        token=TOKEN,
        hosts=["axis.example"],
        accounts=accounts,
        audits=runs,
        acts=Acts({name: operation(name) for name in (*names, "cert.revoke")}),
        clock=lambda: seconds[0],
    )
    async with TestClient(TestServer(console)) as client:
        yield Desk(
            client, history, metrics, broken, views, accounts, done, refuse, answers, contacts, runs, seconds
        )
    views.close()
