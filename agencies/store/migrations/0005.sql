-- What was made of the signature within an edXML packet that came, and within one that was handed in.

ALTER TABLE received ADD COLUMN packet_signature TEXT NOT NULL DEFAULT '';

CREATE TABLE sent_packet (                -- of documents and statuses that were handed in as edXML
    document_id TEXT PRIMARY KEY,
    signature   TEXT NOT NULL             -- JSON
) STRICT, WITHOUT ROWID;
