"""The registry of stable error codes, and the exception that carries one.

One code per cause. Callers see it, logs hold it, and it never changes meaning. Whether trying the same
bytes again can help belongs to the code, not to the place that raises it; what is not known to be final
is temporary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CODES", "Code", "Refusal", "code"]


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of the registry.

    `temporary` means that the same request may succeed later without a change to its signed bytes.
    `http_status` is what every HTTP interface answers with.
    """

    name: str
    http_status: int
    temporary: bool
    cause: str
    remedy: str


def _final(name: str, http_status: int, cause: str, remedy: str) -> Code:
    return Code(name, http_status, False, cause, remedy)


def _temporary(name: str, http_status: int, cause: str, remedy: str) -> Code:
    return Code(name, http_status, True, cause, remedy)


_ALL: Final = (
    _final(
        "sender_not_registered",
        403,
        "The sending unit, or the organisation that calls, is not in the register.",
        "Register it at the axis, or correct the code.",
    ),
    _final(
        "sender_suspended",
        403,
        "The sending unit or the organisation acting for it is suspended.",
        "Ask the axis's operator why; send again when it is resumed.",
    ),
    _final(
        "organisation_mismatch",
        403,
        "TLS certificate, signing certificate and acting organisation do not name the same organisation.",
        "Use the two certificates of the organisation that acts.",
    ),
    _final(
        "not_host_of_unit",
        403,
        "The acting organisation does not host the unit it acts for.",
        "Act from the node that hosts the unit; see the directory.",
    ),
    _final(
        "recipient_unknown",
        422,
        "A recipient's code names no registered unit.",
        "Correct the code; the directory lists the units.",
    ),
    _final(
        "recipient_suspended",
        422,
        "A recipient is suspended.",
        "Leave it out, or send when it is resumed.",
    ),
    _final(
        "recipient_duplicate",
        422,
        "Two recipients are the same unit, perhaps under an old and a new code.",
        "Name each unit once.",
    ),
    _final(
        "signature_invalid",
        422,
        "The signature does not verify over these bytes with the certificate it names.",
        "Sign the exact bytes that are sent.",
    ),
    _final(
        "signature_malformed",
        422,
        "The signature is not strict DER CMS with one signer and exactly the four signed attributes.",
        "Follow the CMS profile in docs/wire-protocol.md.",
    ),
    _final(
        "algorithm_not_allowed",
        422,
        "A key, digest or signature algorithm is outside the list.",
        "Use ECDSA P-256 or P-384, or RSA of at least 2048 bits, with SHA-256, SHA-384 or SHA-512.",
    ),
    _final(
        "certificate_unknown",
        422,
        "The certificate was not issued under this axis's anchor, or its issuance is not in the journal.",
        "Enrol, and sign with the certificate that enrolment gave.",
    ),
    _final(
        "certificate_expired",
        422,
        "The certificate's validity had ended.",
        "Enrol again with a new token; the node then signs anew.",
    ),
    _final(
        "certificate_not_yet_valid",
        422,
        "The certificate's validity had not begun.",
        "Check the clocks; wait until it begins.",
    ),
    _final(
        "certificate_revoked",
        422,
        "The certificate is revoked.",
        "Enrol again with a new token; the node then signs anew.",
    ),
    _final(
        "certificate_wrong_usage",
        422,
        "A TLS certificate signed, or a signing certificate was used for TLS.",
        "Use each key for what its certificate says.",
    ),
    _final(
        "axis_mismatch",
        422,
        "The signed bytes name another axis.",
        "Send it to the axis it was made for.",
    ),
    _final(
        "kind_mismatch",
        422,
        "The signed bytes are of another kind than this place takes.",
        "Send documents and statuses to /v1/envelopes, receipts to /v1/receipts.",
    ),
    _final(
        "header_malformed",
        422,
        "The signed bytes are not the kind line followed by the protobuf message of that kind.",
        "See docs/wire-protocol.md.",
    ),
    _final(
        "header_too_large",
        413,
        "The signed bytes are over 256 KiB, or a request body is over its limit.",
        "Move content into attachments.",
    ),
    _final(
        "field_invalid",
        422,
        "A field is missing, malformed or over its limit; the detail names it.",
        "Correct the field.",
    ),
    _temporary(
        "attachment_missing",
        409,
        "An attachment has not been uploaded by this organisation, or its pin is about to run out.",
        "Upload it, then send the same bytes again.",
    ),
    _final(
        "attachment_mismatch",
        422,
        "The bytes uploaded are not those of the size or SHA-256 named.",
        "Upload the very bytes that the header names.",
    ),
    _final(
        "id_reused",
        409,
        "This document id belongs to other bytes.",
        "Make a new id for each document.",
    ),
    _temporary(
        "created_in_future",
        422,
        "created_at is more than 5 minutes ahead of the axis's clock.",
        "Synchronise the clock; the same bytes are accepted later.",
    ),
    _final(
        "created_too_old",
        422,
        "created_at is more than 30 days ago.",
        "Make the document anew.",
    ),
    _final(
        "not_a_recipient",
        403,
        "The organisation is no party of this delivery.",
        "Only the host named in the acceptance may receipt.",
    ),
    _final(
        "document_unknown",
        404,
        "No such document, or it is not this caller's to see.",
        "Correct the id.",
    ),
    _final(
        "delivery_closed",
        409,
        "This attempt of the delivery is closed already.",
        "Nothing: the first outcome stands.",
    ),
    _final(
        "outcome_conflict",
        409,
        "A receipt with another outcome closed this attempt.",
        "Nothing: the first outcome stands.",
    ),
    _final(
        "idempotency_conflict",
        422,
        "This Idempotency-Key was used with other content.",
        "Use a new key for new content.",
    ),
    _final(
        "token_invalid",
        403,
        "The enrolment token is unknown, expired or damaged, or names another axis.",
        "Ask the axis's operator for a new token.",
    ),
    _final(
        "token_used",
        409,
        "The enrolment token was used with other keys.",
        "Ask for a new token; if nobody of yours used it, say so to the operator.",
    ),
    _temporary(
        "rate_limited",
        429,
        "Too many requests from this organisation, or too many failed log-ins of this name or address.",
        "Wait as long as Retry-After says.",
    ),
    _temporary(
        "behind_head",
        503,
        "This node has not yet seen the head that the caller has seen.",
        "Try again, or another node.",
    ),
    _final(
        "head_unknown",
        409,
        "The journal does not hold the head that the caller has seen: the axis was restored from a copy.",
        "Restart the feed at 0 and send what is unconfirmed again; the agency node does so by itself.",
    ),
    _temporary(
        "journal_forked",
        503,
        "The journal's copies disagree; nothing is appended until that is mended.",
        "The operator runs axis audit and axis journal reseed.",
    ),
    _temporary(
        "storage_full",
        507,
        "There is no room to store this durably; nothing was promised.",
        "Wait as long as Retry-After says; the operator frees space.",
    ),
    _temporary(
        "shutting_down",
        503,
        "The node is stopping.",
        "Try again, or another node.",
    ),
    _temporary(
        "unavailable",
        503,
        "Not possible now: the axis is out of reach, a part of the node is down, or time ran out.",
        "Try again; if it stays, ask the operator.",
    ),
    _final(
        "not_authorised",
        401,
        "The bearer token or the log-in is missing or wrong.",
        "Send the token from HOME/api.token, or log in to the console by name or through its start-up link.",
    ),
    _final(
        "origin_not_allowed",
        403,
        "The Host or Origin header is not this node's own: perhaps a page of another site asks.",
        "Use the node's own address; programs need no Origin header.",
    ),
    _final(
        "unit_limit",
        422,
        "The organisation has registered as many units by itself as it may.",
        "Let the axis's registrar register further ones (`axis org add`, `axis org import`).",
    ),
    _final(
        "system_unknown",
        401,
        "The VXP system's id is not registered at this node, or the HMAC was not made with its secret.",
        "Correct the id and the secret; `agency vxp list` shows the ids, `agency vxp rotate` makes a secret.",
    ),
    _final(
        "system_exists",
        409,
        "A VXP system has this id already.",
        "Choose another id, or make it a new secret with `agency vxp rotate`.",
    ),
    _final(
        "system_not_allowed",
        403,
        "The VXP system does not act for this unit.",
        "Name one of its own units; `agency vxp list` shows its organisations.",
    ),
    _final(
        "signed_header_differs",
        401,
        "A header of the VXP call is not what its signed copy says.",
        "Send the headers that were signed; if the client did, somebody on the way changed them.",
    ),
    _final(
        "timestamp_skewed",
        401,
        "The VXP call's stamp is further from this node's clock than the setting allows.",
        "Set the client's clock and let it make a new stamp, or change `vxp_max_skew_minutes`.",
    ),
    _final(
        "route_unknown",
        404,
        "There is no such path, or it does not take this method.",
        "See /docs of an agency node, /api of the console, docs/wire-protocol.md of the axis.",
    ),
    _temporary(
        "catching_up",
        503,
        "The agency node was restored from a copy and is reading from the axis what it did since.",
        "Try again in a moment with the same Idempotency-Key; the node must be running and reach the axis.",
    ),
    _final(
        "keys_replaced",
        403,
        "The agency node was restored from a copy whose keys were replaced, or revoked, after it was made.",
        "Ask the axis's operator for a new token and run agency init --home HOME --token TOKEN.",
    ),
    _final(
        "packet_signature_invalid",
        422,
        "The XML signature within the edXML packet does not hold, and this agency node refuses such packets.",
        "Send the packet as it was signed; or set packet_signature to report in the node's agency.toml.",
    ),
    _final(
        "keys_damaged",
        500,
        "The axis's own keys or certificates cannot be read: a file is missing, damaged, or of another set.",
        "Restore HOME/keys from a backup; or, where they were to be taken from, name a home that is whole.",
    ),
    _final(
        "role_insufficient",
        403,
        "The operator's role is not enough for this page or act.",
        "Ask somebody with the role; `axis operator list` shows who has it.",
    ),
    _final(
        "csrf_invalid",
        403,
        "The form or request does not carry its log-in's own CSRF token: it is old, or another site made it.",
        "Load the page again and send its form; programs send a bearer token instead of a cookie.",
    ),
    _final(
        "unit_unknown",
        404,
        "No registered unit has or had this code.",
        "Correct the code; `axis org list` and the console's page of units show all.",
    ),
)

CODES: Final[dict[str, Code]] = {entry.name: entry for entry in _ALL}

#: For receipts and statuses these are temporary (design decision 8): what the receiver already holds is
#: signed anew when its certificate is replaced or its organisation resumed.
TEMPORARY_FOR_RECEIPTS: Final = frozenset(
    {
        "sender_suspended",
        "certificate_unknown",
        "certificate_expired",
        "certificate_not_yet_valid",
        "certificate_revoked",
        "certificate_wrong_usage",
    }
)


def code(name: str) -> Code:
    """Return the registry's entry, `unavailable` for a name that this version does not know."""
    return CODES.get(name, CODES["unavailable"])


class Refusal(Exception):
    """The answer is no, for one registered cause.

    `detail` is one English sentence for a person, with the field, code or name that is meant; it may
    hold what the caller sent, never what others did. `retry_after` is in seconds.
    """

    def __init__(
        self,
        name: str,
        detail: str = "",
        *,
        check: int | None = None,
        retry_after: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> None:
        self.code = CODES[name]
        self.detail = detail or self.code.cause
        self.check = check
        self.retry_after = retry_after
        self.extra = extra or {}
        super().__init__(f"{name}: {self.detail}")

    @property
    def name(self) -> str:
        """The stable code's name."""
        return self.code.name
