"""Decisions: a command, judged against the state at one place of the journal.

`decide` is pure and total: it returns the records to append and the answer, which may be a Refusal, and
never raises one. Whoever calls it applies the records of one decision (`axis.core.state.apply`) before it
asks for the next. `now` is the time of the frame that will hold the records: acceptances and notices name
it. `sign` signs bytes as the axis.

What is not decided here: whether an envelope verifies (`axis.core.verify`, before), whether blobs are
there (the ingress, before), and whether keys are still free (the journal's compare-and-set, after).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from axis.core.commands import (
    Accept,
    AcceptanceAnswer,
    Act,
    Close,
    Command,
    Decision,
    DeliveryAnswer,
    Done,
    Enrol,
    EnrolAnswer,
    Expire,
    Found,
    IssueToken,
    NoteRejected,
    ReceiptAnswer,
    RecordCertificate,
    Register,
    Requeue,
    Resume,
    Revoke,
    Suspend,
    TakeReceipt,
)
from axis.core.decide_delivery import close, expire, requeue, take_receipt
from axis.core.decide_document import accept
from axis.core.decide_enrolment import check_token, enrol, issue_token, record_certificate, revoke
from axis.core.decide_register import found, note_rejected, register, resume, suspend
from axis.core.document import check_text
from axis.core.errors import Refusal
from axis.core.facts import Facts

__all__ = [
    "Accept",
    "AcceptanceAnswer",
    "Act",
    "Close",
    "Command",
    "Decision",
    "DeliveryAnswer",
    "Done",
    "Enrol",
    "EnrolAnswer",
    "Expire",
    "Found",
    "IssueToken",
    "NoteRejected",
    "ReceiptAnswer",
    "RecordCertificate",
    "Register",
    "Requeue",
    "Resume",
    "Revoke",
    "Sign",
    "Suspend",
    "TakeReceipt",
    "check_token",
    "decide",
]

_MAX_OPERATOR: Final = 64

#: Signs bytes as the axis: signed bytes → CMS signature.
Sign = Callable[[bytes], bytes]


def decide(command: Command, facts: Facts, now: int, sign: Sign) -> Decision:
    """Judge one command. `now` in milliseconds, the time of the frame that will hold the records."""
    try:
        decision = _DECISIONS[type(command)](command, facts, now, sign)
        return _signed_off(command, decision) if isinstance(command, Act) else decision
    except Refusal as refusal:
        return Decision((), refusal)


def _signed_off(act: Act, decision: Decision) -> Decision:
    """The same decision, its records naming who asked for it."""
    if len(act.operator) > _MAX_OPERATOR or not act.operator.isprintable():
        raise Refusal(
            "field_invalid", f"operator: one line of at most {_MAX_OPERATOR} characters is possible"
        )
    check_text(act.remark, "remark")
    for record in decision.records:
        record.operator, record.remark = act.operator, act.remark
    return decision


_DECISIONS: Final[dict[type, Callable[[Any, Facts, int, Sign], Decision]]] = {
    Found: found,
    Register: register,
    Suspend: suspend,
    Resume: resume,
    IssueToken: issue_token,
    Enrol: enrol,
    RecordCertificate: record_certificate,
    Revoke: revoke,
    NoteRejected: note_rejected,
    Accept: accept,
    TakeReceipt: take_receipt,
    Requeue: requeue,
    Close: close,
    Expire: expire,
}
