-- Units whose deliveries of documents accepted before the place :first have no outcome yet, most first.
SELECT deliveries.unit AS code, ifnull(units.name, '') AS name, count(*) AS deliveries
FROM deliveries INDEXED BY deliveries_in_flight
CROSS JOIN documents ON documents.sequence = deliveries.document AND documents.kind = 'document'
LEFT JOIN units ON units.code = deliveries.unit
WHERE deliveries.state = 'in_flight' AND deliveries.document < :first
GROUP BY deliveries.unit ORDER BY deliveries DESC, code
