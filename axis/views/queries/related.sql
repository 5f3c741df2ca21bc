-- Documents that name this one, in order: perhaps meaning another that bears the same name.
SELECT documents.sequence, documents.document_id, documents.sender, documents.relation, documents.accepted_at,
    originals.named
FROM originals JOIN documents ON documents.sequence = originals.document
WHERE originals.named IN (:issuer_document_id, :document_id) AND originals.named <> ''
    AND documents.sequence <> :sequence AND documents.sender = :sender
ORDER BY documents.sequence
LIMIT 200
