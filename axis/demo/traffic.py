"""The demonstration's traffic: documents posted to the agencies' own APIs, and what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import aiohttp

from axis.demo.content import Draft, decision_274, draft
from axis.demo.launch import Agency
from axis.demo.pdf import write_pdf

__all__ = ["Sent", "Traffic", "choose_recipients"]

FIRST_RECEIVED: Final = "first document received by all"

#: One document sent is received 3.13 times on average (2,408,320 / 769,120).
MEAN_RECIPIENTS: Final = 3.13
_VIETNAM: Final = timezone(timedelta(hours=7))
_OPEN_STATES: Final = frozenset({"queued", "accepted"})
#: Documents asked about at the same time.
_TOGETHER: Final = 64
#: Answers that say that whoever asks is wrong, which no operator's act causes and no waiting mends.
_NOBODY_MAY: Final = frozenset({401, 403, 404})
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)


def choose_recipients(rng: random.Random, others: list[str]) -> list[str]:
    """At least one of `others`, 3.13 on average where there are enough of them."""
    if len(others) == 1:
        return others
    chance = min(1.0, (MEAN_RECIPIENTS - 1) / (len(others) - 1))
    count = 1 + sum(rng.random() < chance for _ in range(len(others) - 1))
    return rng.sample(others, count)


@dataclass(slots=True)
class Sent:
    """A document that its sender's node has taken, and what is known of it."""

    document_id: str
    sender: Agency
    recipients: list[str]
    sha256: str  # of its one attachment
    state: str = "queued"
    deliveries: list[dict[str, object]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether an outcome is still to come."""
        return self.state in _OPEN_STATES


class Traffic:
    """Sends documents between agencies and follows each to its end.

    `patience`: for how many seconds a node that does not answer is asked again, under the same
    Idempotency-Key, so that nothing is sent twice.
    """

    def __init__(
        self,
        agencies: list[Agency],
        seed: int,
        *,
        patience: float = 0.0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.sent: list[Sent] = []
        self._agencies = agencies
        self._rng = random.Random(seed)
        self._numbers = dict.fromkeys((agency.code for agency in agencies), 0)
        self._now = clock or (lambda: datetime.now(_VIETNAM))
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Traffic:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send_first(self) -> Sent:
        """Decision 274/QĐ-TTg, from the Office of the Government to all the others."""
        office, *others = self._agencies
        return await self._post(office, decision_274(self._now()), [agency.code for agency in others])

    async def begin(self, seconds: float, say: Callable[[str], None], *, endless: bool) -> None:
        """Send the first document, wait for its outcomes at most so long, and say what came of it.

        Traffic without end begins also where a unit is suspended, which a home from before may have.
        """
        try:
            first = await self.send_first()
        except (aiohttp.ClientError, TimeoutError) as error:
            trouble = _not_taken(error)
            if not endless or trouble is None:
                raise
            say(f"the first document was not sent: {trouble}")
            return
        if await self.settle([first], seconds, lambda settled: None) and first.state == "delivered":
            say(FIRST_RECEIVED)
        else:
            say(f"the first document is {first.state}: {first.document_id}")

    async def send_one(self) -> Sent:
        """An everyday document from one agency to some others."""
        sender = self._rng.choice(self._agencies)
        others = [agency.code for agency in self._agencies if agency is not sender]
        self._numbers[sender.code] += 1
        text = draft(self._rng, sender.name, self._numbers[sender.code], self._now())
        return await self._post(sender, text, choose_recipients(self._rng, others))

    async def stream(
        self, documents: int | None, rate: float, say: Callable[[str], None] = lambda trouble: None
    ) -> AsyncIterator[Sent]:
        """`documents` (None: no end) at `rate` a second; a node that is busy slows the stream down.

        A stream without end goes on when a node does not take a document: units are suspended, and nodes
        stopped, by whoever tries the axis out. `say` is told, each time it is another trouble.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        count = 0
        said = ""
        while documents is None or count < documents:
            try:
                sent = await self.send_one()
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = _not_taken(error)
                if documents is not None or trouble is None:
                    raise
                if trouble != said:
                    say(f"a document was not sent, the traffic goes on: {trouble}")
                said = trouble
            else:
                yield sent
            count += 1
            due = max(due + 1 / rate, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def settle(self, sent: list[Sent], timeout: float, progress: Callable[[int], None]) -> bool:
        """Wait until none of `sent` is open; False when `timeout` seconds have passed before that."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while still_open := [each for each in sent if each.open]:
            progress(len(sent) - len(still_open))
            if loop.time() > deadline:
                return False
            # Oldest first, a bounded number at a time: what follows is likely to be open still.
            await asyncio.gather(*(self.refresh(each) for each in still_open[:_TOGETHER]))
            await asyncio.sleep(0.1)
        progress(len(sent))
        return True

    async def look(self, seconds: float = 5.0) -> None:
        """Ask what became of each open document, at most so long; a stopped node's stay as they were."""

        async def ask(sent: Sent) -> None:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await self.refresh(sent)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while still_open := [each for each in self.sent if each.open]:
                    for first in range(0, len(still_open), _TOGETHER):
                        await asyncio.gather(*map(ask, still_open[first : first + _TOGETHER]))
                    await asyncio.sleep(0.1)

    async def refresh(self, sent: Sent) -> None:
        """Ask the sender's node how far a document is."""
        url = f"{sent.sender.api_url}/v1/documents/{sent.document_id}"
        headers = _authorization(sent.sender)
        answer = await self._patiently(lambda session: session.get(url, headers=headers))
        sent.state = answer["state"]
        sent.deliveries = answer["deliveries"]

    async def get(self, url: str) -> Any:
        """The JSON that a node answers."""
        return await self._patiently(lambda session: session.get(url))

    async def _post(self, sender: Agency, text: Draft, recipients: list[str]) -> Sent:
        pdf = await asyncio.to_thread(write_pdf, text)
        name = f"{text.number}-{text.notation}.pdf".replace("/", "-")
        # Not from the seed: a second run on the same home sends other documents.
        headers = {"Idempotency-Key": secrets.token_hex(16)} | _authorization(sender)

        def post(session: aiohttp.ClientSession) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
            form = aiohttp.FormData(quote_fields=False)  # names as UTF-8, as curl sends them
            request = aiohttp.JsonPayload(text.as_request(sender.code, recipients))
            form.add_field("document", request, content_type="application/json")
            form.add_field("file", pdf, filename=name, content_type="application/pdf")
            return session.post(f"{sender.api_url}/v1/documents", data=form, headers=headers)

        answer = await self._patiently(post)
        sent = Sent(answer["document_id"], sender, recipients, hashlib.sha256(pdf).hexdigest())
        self.sent.append(sent)
        return sent

    async def _patiently(
        self,
        request: Callable[[aiohttp.ClientSession], AbstractAsyncContextManager[aiohttp.ClientResponse]],
    ) -> Any:
        assert self._session is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                async with request(self._session) as response:
                    if not response.ok:
                        raise aiohttp.ClientResponseError(
                            response.request_info,
                            response.history,
                            status=response.status,
                            message=await _why(response),
                            headers=response.headers,
                        )
                    return await response.json()
            except aiohttp.ClientResponseError as error:
                if error.status < 500 or loop.time() > deadline:
                    raise
            except (aiohttp.ClientError, TimeoutError):
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(0.2)


def _not_taken(error: aiohttp.ClientError | TimeoutError) -> str | None:
    """Why a node did not take a document, where that may pass while traffic goes on; None where it cannot."""
    if isinstance(error, aiohttp.ClientResponseError):
        return None if error.status in _NOBODY_MAY else error.message
    return str(error) or "a node does not answer"


async def _why(response: aiohttp.ClientResponse) -> str:
    """What the answer says of itself (RFC 9457), else its reason phrase."""
    try:
        problem = await response.json(content_type=None)
        return f"{problem['code']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return response.reason or str(response.status)


def _authorization(agency: Agency) -> dict[str, str]:
    return {"Authorization": f"Bearer {agency.token}"} if agency.token else {}
