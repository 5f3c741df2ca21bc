-- The document's delivery that waits longest.
SELECT documents.document_id, deliveries.unit, deliveries.opened_at
FROM deliveries JOIN documents ON documents.sequence = deliveries.document
WHERE deliveries.state = 'in_flight' AND documents.kind = 'document'
ORDER BY deliveries.opened_at LIMIT 1
