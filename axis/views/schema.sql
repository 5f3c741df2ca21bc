-- The views: everything for people, computed from the journal. Disposable: no row here is the only copy.
-- A change of this file needs a new SCHEMA_VERSION in projection.py; the views are then built anew.

-- Where the views stand: after which frame of which journal.
CREATE TABLE position (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    version    INTEGER NOT NULL,
    journal_id TEXT NOT NULL,
    frame      INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    sha256     BLOB NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

-- The register.
CREATE TABLE units (
    code                TEXT PRIMARY KEY,
    name                TEXT NOT NULL,
    parent              TEXT NOT NULL,           -- primary code or empty
    old_codes           TEXT NOT NULL,           -- JSON list
    suspended           INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    enrolled            INTEGER NOT NULL CHECK (enrolled IN (0, 1)),
    registered_sequence INTEGER NOT NULL,
    units_below         INTEGER NOT NULL         -- so many stand below it now, on all levels
) STRICT, WITHOUT ROWID;
CREATE INDEX units_parent ON units (parent);

-- Every code a unit has, to its primary code.
CREATE TABLE aliases (
    code TEXT PRIMARY KEY,
    unit TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_unit ON aliases (unit);

CREATE TABLE certificates (
    sha256           BLOB PRIMARY KEY,
    organisation     TEXT NOT NULL,
    usage            TEXT NOT NULL,
    serial           TEXT NOT NULL,
    hierarchy        TEXT NOT NULL,
    not_before       INTEGER NOT NULL,
    not_after        INTEGER NOT NULL,
    issued_sequence  INTEGER NOT NULL,
    revoked_sequence INTEGER NOT NULL,           -- 0: not revoked
    revoked_at       INTEGER NOT NULL,
    reason           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- By expiry, with all that their states are counted from; those of one organisation; the few revoked ones.
CREATE INDEX certificates_expiry ON certificates (not_after, sha256, usage, revoked_sequence);
CREATE INDEX certificates_organisation ON certificates (organisation, not_after, sha256);
CREATE INDEX certificates_revoked ON certificates (not_after, sha256) WHERE revoked_sequence > 0;
CREATE INDEX certificates_serial ON certificates (serial);

-- Documents and statuses that were accepted; `sequence` is the place of the acceptance.
CREATE TABLE documents (
    sequence           INTEGER PRIMARY KEY,
    document_id        TEXT NOT NULL UNIQUE,
    kind               TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    sender             TEXT NOT NULL,            -- primary code
    host               TEXT NOT NULL,            -- the acting organisation
    subject            TEXT NOT NULL,
    type_name          TEXT NOT NULL,            -- Quyết định, Công văn, …
    number             TEXT NOT NULL,            -- number/notation
    issuer_document_id TEXT NOT NULL,
    numbering          TEXT NOT NULL,            -- year/number/notation, which an issuer gives once
    relation           TEXT NOT NULL,            -- recall, update or replacement; empty: a new document
    about              TEXT NOT NULL,            -- statuses: the document it is about
    status_code        TEXT NOT NULL,
    accepted_at        INTEGER NOT NULL,
    bytes              INTEGER NOT NULL          -- sum of the attachments
) STRICT;
CREATE INDEX documents_number ON documents (sender, numbering) WHERE numbering <> '';
CREATE INDEX documents_issuer ON documents (issuer_document_id, sender) WHERE issuer_document_id <> '';
CREATE INDEX documents_about ON documents (about) WHERE about <> '';

-- What recalls, updates and replacements name: the issuer's DocumentId, or a document_id of ours.
CREATE TABLE originals (
    document INTEGER NOT NULL,                   -- documents.sequence
    named    TEXT NOT NULL,
    PRIMARY KEY (document, named)
) STRICT, WITHOUT ROWID;
CREATE INDEX originals_named ON originals (named);

-- One row per attempt of each delivery; the highest attempt is the delivery's state.
CREATE TABLE deliveries (
    document         INTEGER NOT NULL,           -- documents.sequence
    unit             TEXT NOT NULL,
    attempt          INTEGER NOT NULL CHECK (attempt > 0),
    ordinal          INTEGER NOT NULL,           -- place among the acceptance's deliveries, from 0
    host             TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('in_flight', 'received', 'refused', 'dead')),
    opened_sequence  INTEGER NOT NULL,
    opened_at        INTEGER NOT NULL,
    outcome_sequence INTEGER NOT NULL,           -- 0: none yet
    outcome_at       INTEGER NOT NULL,
    stored_at        INTEGER NOT NULL,           -- by the receiver's clock
    reason           TEXT NOT NULL,
    PRIMARY KEY (document, unit, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_in_flight ON deliveries (opened_at) WHERE state = 'in_flight';

-- The traffic log: exactly one row per record of the journal.
CREATE TABLE events (
    sequence    INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    event       TEXT NOT NULL,
    document    INTEGER,                         -- documents.sequence; null where it is about no document
    party       TEXT NOT NULL,                   -- the recipient of a delivery's event, else the unit meant
    document_id TEXT NOT NULL,                   -- rejected: as claimed, of no accepted document perhaps
    outcome     TEXT NOT NULL,
    code        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    repeats     INTEGER NOT NULL,                -- rejected: how many were summed
    trace_id    TEXT NOT NULL,
    operator    TEXT NOT NULL                    -- who did it at the axis; empty: nobody there
) STRICT;
CREATE INDEX events_operator ON events (operator) WHERE operator <> '';
CREATE INDEX events_document ON events (document) WHERE document IS NOT NULL;
CREATE INDEX events_rejected ON events (document_id) WHERE document_id <> '';

-- What happened to a unit on a day (UTC+07:00), and what to all units that stand below it now. An event counts on
-- the day of its own record.
CREATE TABLE daily (
    unit           TEXT NOT NULL,
    below          INTEGER NOT NULL CHECK (below IN (0, 1)),
    day            TEXT NOT NULL,                -- YYYY-MM-DD
    kind           TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    sent           INTEGER NOT NULL,
    addressed      INTEGER NOT NULL,
    received       INTEGER NOT NULL,
    refused        INTEGER NOT NULL,
    dead           INTEGER NOT NULL,
    requeued       INTEGER NOT NULL,
    late           INTEGER NOT NULL,
    bytes_sent     INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    PRIMARY KEY (unit, below, day, kind)
) STRICT, WITHOUT ROWID;

-- The same by the month, and what is in flight at its end: what the unit's next month begins with. So a month is
-- read without what came before it. Nothing happened to a unit in a month without a row.
CREATE TABLE monthly (
    unit           TEXT NOT NULL,
    below          INTEGER NOT NULL CHECK (below IN (0, 1)),
    kind           TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    month          TEXT NOT NULL,                -- YYYY-MM
    sent           INTEGER NOT NULL,
    addressed      INTEGER NOT NULL,
    received       INTEGER NOT NULL,
    refused        INTEGER NOT NULL,
    dead           INTEGER NOT NULL,
    requeued       INTEGER NOT NULL,
    late           INTEGER NOT NULL,
    bytes_sent     INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    in_flight      INTEGER NOT NULL,
    PRIMARY KEY (unit, below, kind, month)
) STRICT, WITHOUT ROWID;

-- What is in `daily`, of all units together.
CREATE TABLE days (
    day            TEXT NOT NULL,                -- YYYY-MM-DD
    kind           TEXT NOT NULL CHECK (kind IN ('document', 'status')),
    sent           INTEGER NOT NULL,
    addressed      INTEGER NOT NULL,
    received       INTEGER NOT NULL,
    refused        INTEGER NOT NULL,
    dead           INTEGER NOT NULL,
    requeued       INTEGER NOT NULL,
    late           INTEGER NOT NULL,
    bytes_sent     INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    PRIMARY KEY (day, kind)
) STRICT, WITHOUT ROWID;

-- Documents that a unit sent and received in a month, by the hour of the day (UTC+07:00).
CREATE TABLE hours (
    unit     TEXT NOT NULL,
    month    TEXT NOT NULL,                      -- YYYY-MM
    hour     INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    sent     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (unit, month, hour)
) STRICT, WITHOUT ROWID;

-- Documents from a unit to another in a month: deliveries opened by an acceptance, and received.
CREATE TABLE pairs (
    sender    TEXT NOT NULL,
    month     TEXT NOT NULL,                     -- YYYY-MM
    recipient TEXT NOT NULL,
    addressed INTEGER NOT NULL,
    received  INTEGER NOT NULL,
    PRIMARY KEY (sender, month, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX pairs_recipient ON pairs (recipient, month);

-- Documents that recipients refused, by the reason they gave.
CREATE TABLE refusals (
    reason  TEXT PRIMARY KEY,
    refused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_most ON refusals (refused);

-- Refused envelopes by code.
CREATE TABLE rejections (
    code    TEXT PRIMARY KEY,
    refused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Documents' deliveries from acceptance to receipt, in classes of at most `seconds` (the last one: no limit).
CREATE TABLE durations (
    seconds      REAL PRIMARY KEY,
    outcomes     INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Units that were moved in the tree, and what they stood below before (empty: below nothing). The terms of
-- earlier events say where a unit stood then.
CREATE TABLE moves (
    unit     TEXT NOT NULL,
    ancestor TEXT NOT NULL,
    PRIMARY KEY (ancestor, unit)
) STRICT, WITHOUT ROWID;
CREATE INDEX moves_unit ON moves (unit);

-- Words that may be typed in part (axis/views/words.py).
CREATE TABLE words (
    word TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What each event is found by (axis/views/terms.py), by events.sequence. Holds no text itself, and no sizes:
-- nothing is ranked.
CREATE VIRTUAL TABLE search USING fts5 (terms, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '=^~/._-:'");
