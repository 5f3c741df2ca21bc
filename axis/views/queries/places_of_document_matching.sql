-- Places in a range that are about a document and whose terms match, in order. A document has few.
SELECT sequence FROM (
    SELECT sequence FROM events
    WHERE document = (SELECT sequence FROM documents WHERE document_id = :document_id)
    UNION ALL
    SELECT sequence FROM events WHERE document_id = :document_id AND document_id <> ''
)
WHERE sequence BETWEEN :low AND :high
    AND EXISTS (SELECT 1 FROM search WHERE search MATCH :match AND search.rowid = sequence)
ORDER BY sequence /* order */ LIMIT :count
