-- The documents that may be meant by a name, but for the one that gives it: its sender's first, and one of
-- another's. Nobody hides an original by sending others with its name.
SELECT * FROM (
    SELECT document_id, sender FROM documents
    WHERE sender = :sender AND sequence <> :sequence AND kind = 'document'
        AND (document_id = :named OR (issuer_document_id = :named AND issuer_document_id <> ''))
    LIMIT 2
)
UNION ALL
SELECT * FROM (
    SELECT document_id, sender FROM documents
    WHERE sender <> :sender AND sequence <> :sequence AND kind = 'document'
        AND (document_id = :named OR (issuer_document_id = :named AND issuer_document_id <> ''))
    LIMIT 1
)
