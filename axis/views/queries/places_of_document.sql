-- Places in a range that are about a document, in order; also what was rejected in its name.
SELECT sequence FROM (
    SELECT sequence FROM events
    WHERE document = (SELECT sequence FROM documents WHERE document_id = :document_id)
    UNION ALL
    SELECT sequence FROM events WHERE document_id = :document_id AND document_id <> ''
)
WHERE sequence BETWEEN :low AND :high
ORDER BY sequence /* order */ LIMIT :count
