-- How many deliveries of documents accepted at the place :first, or later, have no outcome yet; that was not
-- before :since.
SELECT count(*)
FROM deliveries INDEXED BY deliveries_in_flight
CROSS JOIN documents ON documents.sequence = deliveries.document AND documents.kind = 'document'
WHERE deliveries.state = 'in_flight' AND deliveries.opened_at >= :since AND deliveries.document >= :first
