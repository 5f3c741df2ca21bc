-- The agency node's store: what was handed in for sending, what came, and where the feed stands.
-- Times are milliseconds since the epoch. Content is named by its SHA-256.

CREATE TABLE setting (                    -- cursors, the highest head seen, the directory's place
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sent (                       -- the outbox; the signed bytes never change
    number             INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id        TEXT NOT NULL UNIQUE,
    kind               TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    signed             BLOB NOT NULL,
    signature          BLOB NOT NULL,     -- the newest one; all of them are in sent_signature
    certificate_sha256 BLOB NOT NULL,     -- what the newest signature was made with
    sender_unit        TEXT NOT NULL,
    recipients         TEXT NOT NULL,     -- JSON list, as handed in
    subject            TEXT NOT NULL,
    code_number        TEXT NOT NULL,     -- "274/QĐ-TTg"
    urgent             INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    bytes              INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    trace_id           TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('queued', 'rejected', 'accepted')),
    code               TEXT NOT NULL DEFAULT '',  -- of the last refusal, final or temporary
    detail             TEXT NOT NULL DEFAULT '',
    attempts           INTEGER NOT NULL DEFAULT 0,
    next_attempt_at    INTEGER NOT NULL DEFAULT 0,
    acceptance_signed    BLOB,            -- also one that the axis lost, as evidence
    acceptance_signature BLOB,
    accepted_sequence  INTEGER NOT NULL DEFAULT 0,  -- 0 while the axis's journal is not known to hold it
    accepted_at        INTEGER NOT NULL DEFAULT 0,
    CHECK (state <> 'accepted' OR acceptance_signed IS NOT NULL)
) STRICT;
CREATE INDEX sent_due ON sent (urgent DESC, next_attempt_at) WHERE state = 'queued';
CREATE INDEX sent_by_place ON sent (accepted_sequence);
CREATE INDEX sent_by_time ON sent (created_at);

CREATE TABLE sent_signature (             -- the axis keeps the first it accepted, which may be an older one
    document_id      TEXT NOT NULL,
    signature_sha256 BLOB NOT NULL,
    signature        BLOB NOT NULL,
    PRIMARY KEY (document_id, signature_sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_delivery (              -- one per recipient, from the acceptance; the latest attempt
    document_id TEXT NOT NULL,
    unit        TEXT NOT NULL,
    host        TEXT NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    state       TEXT NOT NULL CHECK (state IN ('in_flight', 'received', 'refused', 'dead')),
    reason      TEXT NOT NULL DEFAULT '',
    at          INTEGER NOT NULL DEFAULT 0,   -- of the outcome, in the journal
    stored_at   INTEGER NOT NULL DEFAULT 0,   -- what the receipt says
    evidence_signed    BLOB,                  -- the receipt, or the axis's notice
    evidence_signature BLOB,
    PRIMARY KEY (document_id, unit)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment (
    side        TEXT NOT NULL CHECK (side IN ('sent', 'received')),
    document_id TEXT NOT NULL,
    number      INTEGER NOT NULL,
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size        INTEGER NOT NULL,
    sha256      BLOB NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (side, document_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_by_content ON attachment (sha256);

CREATE TABLE content (                    -- small contents; the others are files in the blobs
    sha256       BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    content      BLOB NOT NULL,
    owner        TEXT NOT NULL,
    pinned_until INTEGER NOT NULL         -- while it is not named by an attachment yet
) STRICT;

CREATE TABLE idempotency (                -- what a key was used for, and what was answered
    scope          TEXT NOT NULL,
    key            TEXT NOT NULL,
    content_sha256 BLOB NOT NULL,
    answer         TEXT NOT NULL,         -- JSON
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE received (                   -- the inbox; number is the local API's cursor
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id   TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    failure       TEXT NOT NULL DEFAULT '',   -- code; such a document is evidence only, its content is absent
    signed        BLOB NOT NULL,
    signature     BLOB NOT NULL,
    acceptance_signed    BLOB NOT NULL,
    acceptance_signature BLOB NOT NULL,
    accepted_sequence INTEGER NOT NULL,
    accepted_at   INTEGER NOT NULL,
    sender_unit   TEXT NOT NULL,
    subject       TEXT NOT NULL,
    code_number   TEXT NOT NULL,
    urgent        INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    bytes         INTEGER NOT NULL,
    received_at   INTEGER NOT NULL,
    trace_id      TEXT NOT NULL,
    packet_signature TEXT NOT NULL DEFAULT ''  -- JSON: what was made of the edXML packet's own; empty without one
) STRICT;

CREATE TABLE receipt (                    -- one per delivery and attempt to a unit of this node
    document_id TEXT NOT NULL,
    unit        TEXT NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    outcome     TEXT NOT NULL CHECK (outcome IN ('waiting', 'received', 'refused')),
    reason      TEXT NOT NULL DEFAULT '',
    stored_at   INTEGER NOT NULL,
    signed      BLOB,                     -- none while the software has not decided
    signature   BLOB,
    certificate_sha256 BLOB,
    -- waiting: for the software; queued: to be sent; taken: by the axis; stopped: answered no for good, or closed by the axis
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'queued', 'taken', 'stopped')),
    code        TEXT NOT NULL DEFAULT '',
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL DEFAULT 0,
    sequence    INTEGER NOT NULL DEFAULT 0,   -- where the outcome stands in the journal
    PRIMARY KEY (document_id, unit, attempt),
    CHECK ((outcome = 'waiting') = (signed IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_due ON receipt (next_attempt_at) WHERE state = 'queued';

CREATE TABLE held (                       -- feed items that could not be finished yet; the feed went on
    sequence        INTEGER PRIMARY KEY,
    item            BLOB NOT NULL,        -- FeedItem
    code            TEXT NOT NULL,
    detail          TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL
) STRICT;

CREATE TABLE directory (                  -- DirectoryEntry messages as the axis gave them, the newest of each
    key      TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    entry    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counted (                    -- what happened to this node's units, once each: volumes are a query
    document_id TEXT NOT NULL,
    unit        TEXT NOT NULL,
    attempt     INTEGER NOT NULL,         -- 0 for sent
    event       TEXT NOT NULL CHECK (event IN ('sent', 'addressed', 'requeued', 'received', 'refused', 'dead')),
    kind        TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    at          INTEGER NOT NULL,         -- of the record
    accepted_at INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (document_id, unit, attempt, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE status (
    document_id TEXT PRIMARY KEY,         -- the status's own id
    side        TEXT NOT NULL CHECK (side IN ('sent', 'received')),
    about       TEXT NOT NULL,            -- document_id; empty where the message names none that is known
    unit        TEXT NOT NULL,            -- whose exchange with the document's sender it belongs to; any code
    sender_unit TEXT NOT NULL,            -- who says it; any code
    code        TEXT NOT NULL,
    note        TEXT NOT NULL,
    at          INTEGER NOT NULL          -- sent: when it was handed in; received: when it was accepted
) STRICT;
CREATE INDEX status_by_about ON status (about, at);

CREATE TABLE vxp_system (
    system_id       TEXT PRIMARY KEY,
    organisations   TEXT NOT NULL,          -- JSON list of primary codes
    secret          TEXT NOT NULL,          -- of the HMAC; the file is its owner's only
    previous_secret TEXT NOT NULL,
    previous_until  INTEGER NOT NULL,       -- 0: there is none
    created_at      INTEGER NOT NULL,
    rotated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE vxp_call (                     -- the newest ones
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    operation     TEXT NOT NULL,
    remote        TEXT NOT NULL,
    system_id     TEXT NOT NULL,            -- as claimed
    authenticated INTEGER NOT NULL CHECK (authenticated IN (0, 1)),
    document_id   TEXT NOT NULL,
    code          TEXT NOT NULL,            -- empty: served
    error_code    INTEGER NOT NULL,
    detail        TEXT NOT NULL,
    skew_ms       INTEGER,
    milliseconds  INTEGER NOT NULL
) STRICT;
CREATE INDEX vxp_call_by_kind ON vxp_call (authenticated, number);

CREATE TABLE vxp_processing (               -- deliveries that a system has said it is processing
    document_id TEXT NOT NULL,
    unit        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (document_id, unit)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipt_waiting ON receipt (document_id) WHERE state = 'waiting';
CREATE INDEX received_by_time ON received (received_at);

CREATE TABLE issued (
    document_id        TEXT PRIMARY KEY,
    sender_unit        TEXT NOT NULL,       -- primary code
    issuer_document_id TEXT NOT NULL,       -- free text
    numbering          TEXT NOT NULL,       -- "2026/274/QĐ-TTg"; empty without a number
    relation           TEXT NOT NULL CHECK (relation IN ('', 'recall', 'update', 'replacement')),
    at                 INTEGER NOT NULL     -- sent: when it was handed in; received: when it was accepted
) STRICT, WITHOUT ROWID;
CREATE INDEX issued_by_name ON issued (issuer_document_id, sender_unit) WHERE issuer_document_id <> '';
CREATE INDEX issued_by_number ON issued (numbering, sender_unit) WHERE numbering <> '';

CREATE TABLE reference (                    -- of a recall, update or replacement to its originals
    document_id TEXT NOT NULL,
    named       TEXT NOT NULL,              -- the issuer's DocumentId, or our document_id
    PRIMARY KEY (document_id, named)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_by_name ON reference (named);

CREATE TABLE sent_packet (                -- of documents and statuses that were handed in as edXML
    document_id TEXT PRIMARY KEY,
    signature   TEXT NOT NULL             -- JSON
) STRICT, WITHOUT ROWID;
