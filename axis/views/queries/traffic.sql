-- Lines of the traffic log at given places (a JSON list), newest first: each record with the document it is about.
SELECT
    events.sequence, events.at, events.event, events.party, events.outcome, events.code, events.reason,
    events.repeats, events.trace_id, events.operator,
    ifnull(documents.document_id, events.document_id) AS document_id,
    documents.kind, documents.sender, documents.subject, documents.number, documents.bytes,
    documents.about,
    CASE WHEN events.sequence = events.document THEN (
        SELECT json_group_array(unit) FROM (
            SELECT unit FROM deliveries
            WHERE deliveries.document = events.document AND attempt = 1 ORDER BY ordinal
        )
    ) END AS recipients
FROM events LEFT JOIN documents ON documents.sequence = events.document
WHERE events.sequence IN (SELECT value FROM json_each(:sequences))
ORDER BY events.sequence DESC
