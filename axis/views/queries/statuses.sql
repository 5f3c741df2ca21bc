-- Statuses about a document: who sent them, to whom, what they say.
SELECT documents.sequence, documents.document_id, documents.sender, deliveries.unit AS recipient,
    documents.status_code AS code, documents.accepted_at AS at, events.reason AS note
FROM documents
JOIN events ON events.sequence = documents.sequence
JOIN deliveries ON deliveries.document = documents.sequence AND deliveries.attempt = 1
WHERE documents.about = :document_id AND documents.about <> ''
ORDER BY documents.sequence
