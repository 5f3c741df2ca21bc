-- Deliveries of documents that have no outcome yet, after a place, the one that waits longest first.
SELECT
    deliveries.opened_at, deliveries.document, deliveries.unit, deliveries.attempt, deliveries.host,
    documents.document_id, documents.sender, documents.subject, documents.number, documents.accepted_at
FROM deliveries INDEXED BY deliveries_in_flight
CROSS JOIN documents ON documents.sequence = deliveries.document AND documents.kind = 'document'
WHERE deliveries.state = 'in_flight'
    AND (deliveries.opened_at, deliveries.document, deliveries.unit) > (:opened_at, :document, :after)
    AND (:unit = '' OR deliveries.unit = :unit) AND deliveries.document < :accepted_before
ORDER BY deliveries.opened_at, deliveries.document, deliveries.unit LIMIT :count
