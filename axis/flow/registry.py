"""The register as the operator sees it: units, suspensions, certificates, and the two acts on a delivery.

Every answer is a JSON value with the names of the contract; the command line prints it as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from axispb.v1 import facts_pb2

from axis.core import state
from axis.core.decide import Close, Command, DeliveryAnswer, Done, Register, Requeue, Resume, Revoke, Suspend
from axis.core.errors import Refusal
from axis.core.trust import read_certificate
from axis.core.volumes import VIETNAM
from axis.flow.enrolment import Enrolment
from axis.flow.sequencer import Sequencer
from axis.logs import get_logger
from axis.ports import Clock, Journal

__all__ = ["NOBODY", "By", "Registry"]

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for an act, and why in their own words: both go into its records."""

    operator: str = ""
    remark: str = ""


#: Nobody at the axis.
NOBODY: Final = By()


class Registry:
    """The operator's commands on the register."""

    def __init__(self, journal: Journal, sequencer: Sequencer, enrolment: Enrolment, clock: Clock) -> None:
        self._journal = journal
        self._sequencer = sequencer
        self._enrolment = enrolment
        self._clock = clock

    async def add(
        self,
        code: str,
        name: str,
        parent: str = "",
        old_codes: Iterable[str] = (),
        mail: str = "",
        *,
        token: bool = True,
        by: By = NOBODY,
    ) -> dict[str, Any]:
        """Register a unit, or change it, and give it a token: {"code", "token", "expires_at"}.

        Without `token` none is made: {"code", "changed"}.
        """
        command = Register(code, name, parent, tuple(old_codes), mail, operator=by.operator, remark=by.remark)
        done: Done = await self._decided(command)
        get_logger().info("unit_registered", unit=code, changed=done.changed, operator=by.operator)
        if not token:
            return {"code": done.subject, "changed": done.changed}
        return await self.token(done.subject, by=by)

    async def token(self, code: str, *, by: By = NOBODY) -> dict[str, Any]:
        """Another token for a registered unit: {"code", "token", "expires_at"}."""
        await self._confirm()
        token = await self._enrolment.token(code, operator=by.operator, remark=by.remark)
        return {"code": token.code, "token": str(token), "expires_at": _time(token.expires_at)}

    async def import_units(self, rows: Iterable[Mapping[str, str]], *, by: By = NOBODY) -> dict[str, Any]:
        """Register units from the rows of a units.csv (code, name, perhaps old_code and parent).

        {"units", "changed"}. Rows are taken in order, parents first. Stops at the first refusal, which
        names its row; a repeat goes on, since what is registered already changes nothing.
        """
        units = changed = 0
        page: list[Register] = []
        for row in rows:
            page.append(_row(row, units + len(page) + 1, by))
            if len(page) == _PAGE:
                changed += await self._import(page, units)
                units += len(page)
                page = []
        changed += await self._import(page, units)
        return {"units": units + len(page), "changed": changed}

    async def suspend(self, code: str, reason: str = "", *, by: By = NOBODY) -> dict[str, Any]:
        """Suspend a unit: {"code", "changed"}. Its open polls end at once."""
        done: Done = await self._decided(Suspend(code, reason, operator=by.operator, remark=by.remark))
        get_logger().warning(
            "unit_suspended", unit=done.subject, reason=reason, changed=done.changed, operator=by.operator
        )
        return {"code": done.subject, "changed": done.changed}

    async def resume(self, code: str, *, by: By = NOBODY) -> dict[str, Any]:
        """End a suspension: {"code", "changed"}."""
        done: Done = await self._decided(Resume(code, operator=by.operator, remark=by.remark))
        get_logger().warning("unit_resumed", unit=done.subject, changed=done.changed, operator=by.operator)
        return {"code": done.subject, "changed": done.changed}

    async def units(self) -> dict[str, Any]:
        """{"organisations": [...]}: every unit, by code."""
        rows = [self._unit(facts_pb2.UnitFact.FromString(value)) for _, value, _ in self._facts("unit/")]
        return {"organisations": sorted(rows, key=lambda row: str(row["code"]))}

    async def show(self, code: str) -> dict[str, Any]:
        """One unit, with its old codes, the units under it and its certificates."""
        primary = state.resolve(self._journal, code)
        fact = state.unit(self._journal, primary) if primary is not None else None
        if fact is None:
            raise Refusal("sender_not_registered", f"{code[:60]} is not registered")
        everybody = [facts_pb2.UnitFact.FromString(value) for _, value, _ in self._facts("unit/")]
        certificates = (await self.certificates())["certificates"]
        return {
            **self._unit(fact),
            "old_codes": list(fact.old_codes),
            "mail": fact.mail,
            "mobile": fact.mobile,
            "fax": fact.fax,
            "suspended_by": (fact.suspended_by or "registrar") if fact.suspended else None,
            "children": sorted(unit.code for unit in everybody if unit.parent == fact.code),
            "certificates": [row for row in certificates if row["org"] == fact.code],
        }

    async def certificates(self) -> dict[str, Any]:
        """{"certificates": [...]}: every certificate that ever counted, in the order of issuance."""
        facts = [facts_pb2.CertificateFact.FromString(value) for _, value, _ in self._facts("certificate/")]
        facts.sort(key=lambda fact: fact.issued_sequence)
        return {"certificates": [self._certificate(fact) for fact in facts]}

    async def revoke(self, serial: str, reason: str, *, by: By = NOBODY) -> dict[str, Any]:
        """Revoke a certificate: {"serial", "org", "usage", "changed"}. In force at once."""
        serial = serial.lower().removeprefix("0x")
        done: Done = await self._decided(Revoke(serial, reason, operator=by.operator, remark=by.remark))
        fact = cast(
            facts_pb2.CertificateFact, state.certificate_by_serial(self._journal, done.subject)
        )  # the journal that has revoked it has it
        await self._enrolment.tell_issuer(fact.serial, fact.revocation_reason, fact.revoked_at)
        get_logger().warning(
            "certificate_revoked",
            organisation=fact.organisation,
            serial=fact.serial,
            usage=fact.usage,
            operator=by.operator,
        )
        return {
            "serial": fact.serial,
            "org": fact.organisation,
            "usage": fact.usage,
            "changed": done.changed,
        }

    async def requeue(
        self, document_id: str, to: str, reason: str = "", *, by: By = NOBODY
    ) -> dict[str, Any]:
        """Open the next attempt of a dead or refused delivery: {"document_id", "to", "attempt", "host"}."""
        command = Requeue(document_id, to, reason, operator=by.operator, remark=by.remark)
        return _delivery(await self._decided(command), "delivery_requeued", by)

    async def close(self, document_id: str, to: str, reason: str, *, by: By = NOBODY) -> dict[str, Any]:
        """End a delivery that is in flight: {"document_id", "to", "attempt", "host"}."""
        command = Close(document_id, to, reason, operator=by.operator, remark=by.remark)
        return _delivery(await self._decided(command), "delivery_closed", by)

    async def _decided(self, command: Command) -> Any:
        await self._confirm()
        return await self._sequencer.submit(command)

    async def _confirm(self) -> None:
        """Read what other nodes have appended: the operator may just have been answered by one of them.

        What was suspended there would else be "not suspended" here, and go on being so.
        """
        if not await self._journal.confirm():
            raise Refusal("unavailable", "the cluster does not confirm the journal's head", retry_after=1)

    async def _import(self, page: list[Register], before: int) -> int:
        # Submitted together for one frame a page; decided in order.
        await self._confirm()
        answers = await asyncio.gather(*map(self._sequencer.submit, page), return_exceptions=True)
        for number, answer in enumerate(answers, before + 1):
            if isinstance(answer, Refusal):
                raise Refusal(answer.name, f"row {number}: {answer.detail}")
            if isinstance(answer, BaseException):
                raise answer
        return sum(1 for answer in answers if isinstance(answer, Done) and answer.changed)

    def _facts(self, prefix: str) -> Iterable[tuple[str, bytes, int]]:
        after = 0
        while page := self._journal.facts(prefix, after, _PAGE):
            yield from page
            after = page[-1][2]

    def _unit(self, fact: facts_pb2.UnitFact) -> dict[str, Any]:
        return {
            "code": fact.code,
            "old_code": fact.old_codes[0] if fact.old_codes else None,
            "name": fact.name,
            "parent": fact.parent or None,
            "state": "suspended" if fact.suspended else "active",
            "hosted_by": state.host_of(self._journal, fact.code),
        }

    def _certificate(self, fact: facts_pb2.CertificateFact) -> dict[str, Any]:
        info = read_certificate(fact.certificate)
        expired = info.not_after < self._clock.now()
        return {
            "serial": fact.serial,
            "org": fact.organisation,
            "usage": fact.usage,
            "hierarchy": fact.hierarchy,
            "not_before": _time(info.not_before),
            "not_after": _time(info.not_after),
            "state": "revoked" if fact.revoked_sequence else "expired" if expired else "active",
        }


def _delivery(answer: DeliveryAnswer, event: str, by: By) -> dict[str, Any]:
    shown = {
        "document_id": answer.document_id,
        "to": answer.unit,
        "attempt": answer.attempt,
        "host": answer.host,
    }
    get_logger().warning(event, **shown, operator=by.operator)
    return shown


def _row(row: Mapping[str, str], number: int, by: By) -> Register:
    code, name = (row.get("code") or "").strip(), (row.get("name") or "").strip()
    if not code or not name:
        raise Refusal("field_invalid", f"row {number}: columns code and name are needed")
    old_code = (row.get("old_code") or "").strip()
    parent, old_codes = (row.get("parent") or "").strip(), (old_code,) if old_code else ()
    return Register(code, name, parent, old_codes, operator=by.operator, remark=by.remark)


def _time(milliseconds: int) -> str:
    """RFC 3339 in the country's time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(VIETNAM).isoformat(timespec="seconds")
