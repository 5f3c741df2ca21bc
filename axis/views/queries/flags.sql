-- What a clerk should know of a document: is its issuer's id, or its number in this year, another one's too?
SELECT
    :issuer_document_id <> '' AND EXISTS (
        SELECT 1 FROM documents
        WHERE issuer_document_id = :issuer_document_id AND issuer_document_id <> '' AND sequence <> :sequence
    ) AS repeated_issuer_document_id,
    :numbering <> '' AND EXISTS (
        SELECT 1 FROM documents
        WHERE sender = :sender AND numbering = :numbering AND numbering <> '' AND sequence <> :sequence
    ) AS repeated_number
