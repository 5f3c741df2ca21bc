-- What a clerk should know of a document: is its issuer's id, or its number, another one's too?
SELECT
    :issuer_document_id <> '' AND EXISTS (
        SELECT 1 FROM documents
        WHERE issuer_document_id = :issuer_document_id AND issuer_document_id <> '' AND sequence <> :sequence
    ) AS repeated_issuer_document_id,
    :number <> '' AND EXISTS (
        SELECT 1 FROM documents
        WHERE sender = :sender AND number = :number AND number <> '' AND sequence <> :sequence
    ) AS repeated_number
