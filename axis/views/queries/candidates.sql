-- The documents that may be meant by a name, but for the one that gives it.
SELECT document_id, sender FROM documents
WHERE issuer_document_id = :named AND issuer_document_id <> '' AND sequence <> :sequence
UNION
SELECT document_id, sender FROM documents
WHERE document_id = :named AND kind = 'document' AND sequence <> :sequence
LIMIT 200
