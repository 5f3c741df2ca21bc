-- How issuers name and number documents, and what documents say of earlier ones.

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
