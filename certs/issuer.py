"""The axis's side of the issuer process (certs.service): `axis.ports.Issuer` over two pipes.

One request at a time. Every wait is bounded; a process that dies, hangs or answers nonsense is ended, and a
later request starts another. Until then, and for `restart_pause` after a failure, the answer is
`unavailable`. Issuing and revoking are idempotent, so a request whose answer was lost is simply repeated.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from axis.core.errors import CODES, Refusal
from certs.service import LENGTH, MAX_MESSAGE_BYTES, PAGE, main

__all__ = ["IssuerProcess"]

_LIMIT: Final = 10.0
_RESTART_PAUSE: Final = 1.0
_CLOSE_LIMIT: Final = 2.0


class IssuerProcess:
    """A running issuer, restarted when it fails. Make one with `start`; use it in one event loop."""

    def __init__(self, home: Path, limit: float = _LIMIT, restart_pause: float = _RESTART_PAUSE) -> None:
        self._home = home
        self._limit = limit  # seconds for one request, waiting for its turn included
        self._restart_pause = restart_pause
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._failed_at: float | None = None
        self._closed = False

    @classmethod
    async def start(
        cls, pki_home: Path, *, limit: float = _LIMIT, restart_pause: float = _RESTART_PAUSE
    ) -> IssuerProcess:
        """Start the process and wait until it answers; Refusal `unavailable` if it does not."""
        issuer = cls(pki_home, limit, restart_pause)
        await issuer._ask({"operation": "hello"})
        return issuer

    @property
    def pid(self) -> int | None:
        """The process's id; None while there is none."""
        return self._process.pid if self._process else None

    async def issue(
        self, *, organisation: str, tls_request: bytes, sign_request: bytes
    ) -> tuple[bytes, bytes]:
        """See `axis.ports.Issuer`."""
        return await self._pair("issue", tls_request, sign_request, organisation=organisation)

    async def issue_axis(
        self, *, tls_request: bytes, sign_request: bytes, names: Sequence[str]
    ) -> tuple[bytes, bytes]:
        """See `axis.ports.Issuer`."""
        return await self._pair("issue_axis", tls_request, sign_request, names=list(names))

    async def revoke(self, serial: str, reason: str, at: int) -> None:
        """See `axis.ports.Issuer`."""
        await self._ask({"operation": "revoke", "serial": serial, "reason": reason, "at": at})

    async def listed(self) -> list[Mapping[str, object]]:
        """See `axis.ports.Issuer`."""
        entries: list[Mapping[str, object]] = []
        after = 0
        while True:
            page = await self._ask({"operation": "listed", "after": after})
            entries += [_entry(row) for row in page]
            if len(page) < PAGE:
                return entries
            after = page[-1]["number"]

    async def close(self) -> None:
        """End the process. Idempotent; later requests are answered `unavailable`."""
        self._closed = True
        async with self._turn:
            await self._end(politely=True)

    async def _pair(
        self, operation: str, tls_request: bytes, sign_request: bytes, **more: object
    ) -> tuple[bytes, bytes]:
        tls, sign = await self._ask(
            {
                "operation": operation,
                "tls_request": base64.b64encode(tls_request).decode("ascii"),
                "sign_request": base64.b64encode(sign_request).decode("ascii"),
                **more,
            }
        )
        return base64.b64decode(tls), base64.b64decode(sign)

    async def _ask(self, request: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self._limit), self._turn:
                reply = await self._exchange(request)
        except TimeoutError as error:
            raise Refusal("unavailable", "the issuer did not answer in time", retry_after=5) from error
        if "code" in reply:
            name = reply["code"] if reply["code"] in CODES else "unavailable"
            raise Refusal(name, reply["detail"])
        return reply["answer"]

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            body = json.dumps(request).encode()
            process.stdin.write(LENGTH.pack(len(body)) + body)
            await process.stdin.drain()
            (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
            if size > MAX_MESSAGE_BYTES:
                raise ValueError(f"an answer of {size} bytes")
            reply: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
        except (OSError, EOFError, ValueError) as error:
            await self._fail()
            raise Refusal("unavailable", "the issuer failed; it is started again", retry_after=1) from error
        except BaseException:
            # Given up in the middle: the answer would be taken for the next request's.
            await self._fail()
            raise
        return reply

    async def _running(self) -> Process:
        now = asyncio.get_running_loop().time()
        if self._closed:
            raise Refusal("unavailable", "the issuer is closed")
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end(politely=False)  # one that died while nothing was asked
        if self._failed_at is not None and now < self._failed_at + self._restart_pause:
            raise Refusal("unavailable", "the issuer failed a moment ago", retry_after=1)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder named certs where the axis happens to run must not be taken for ours
                "-m",
                "certs.issuer",
                "--home",
                str(self._home),
                "--parent",
                str(os.getpid()),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C at the terminal ends the axis, and the axis ends this
            )
        except OSError as error:
            self._failed_at = now
            raise Refusal("unavailable", "the issuer cannot be started", retry_after=1) from error
        return self._process

    async def _fail(self) -> None:
        self._failed_at = asyncio.get_running_loop().time()
        # Shielded: a second cancellation must not leave a process behind.
        await asyncio.shield(self._end(politely=False))

    async def _end(self, *, politely: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        if politely:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _CLOSE_LIMIT)
        if process.returncode is None:
            process.kill()
        await process.stdout.read()  # until the end, so that the transport is closed with the process
        await process.wait()


def _entry(row: dict[str, Any]) -> Mapping[str, object]:
    """One entry of the list, as the port has it."""
    names = ("organisation", "usage", "serial", "revoked_at", "reason")
    return {name: row[name] for name in names} | {"certificate": base64.b64decode(row["certificate"])}


if __name__ == "__main__":
    main()
