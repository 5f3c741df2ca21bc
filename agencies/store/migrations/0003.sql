-- The VXP API: who may call, what was called, and what the calling systems have begun to process.

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
