-- Statuses that were said about documents (QCVN 102:2016), to find them by what they are about.

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
