-- The units with most deliveries of documents accepted before the place :first that have no outcome yet.
SELECT owing.unit AS code, ifnull(units.name, '') AS name, owing.deliveries
FROM (
    SELECT deliveries.unit, count(*) AS deliveries
    FROM deliveries INDEXED BY deliveries_in_flight
    CROSS JOIN documents ON documents.sequence = deliveries.document AND documents.kind = 'document'
    WHERE deliveries.state = 'in_flight' AND deliveries.document < :first
    GROUP BY deliveries.unit ORDER BY deliveries DESC, deliveries.unit LIMIT :count
) AS owing LEFT JOIN units ON units.code = owing.unit
ORDER BY owing.deliveries DESC, code
