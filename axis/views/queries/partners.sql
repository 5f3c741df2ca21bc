-- With whom a unit exchanged most documents: deliveries addressed to each, received from each. In whole months, and on
-- other days by the events there, places in JSON lists.
SELECT partner AS code, ifnull(units.name, '') AS name, sum(sent) AS sent, sum(received) AS received
FROM (
    SELECT recipient AS partner, addressed AS sent, 0 AS received
    FROM pairs WHERE sender = :unit AND month BETWEEN :first_month AND :last_month
    UNION ALL
    SELECT sender, 0, received
    FROM pairs WHERE recipient = :unit AND month BETWEEN :first_month AND :last_month
    UNION ALL
    SELECT deliveries.unit, 1, 0
    FROM json_each(:as_sender) CROSS JOIN documents ON documents.sequence = value
    CROSS JOIN deliveries ON deliveries.document = documents.sequence AND deliveries.attempt = 1
    WHERE documents.sender = :unit AND documents.kind = 'document'
    UNION ALL
    SELECT documents.sender, 0, 1
    FROM json_each(:as_recipient) CROSS JOIN events ON events.sequence = value
    CROSS JOIN documents ON documents.sequence = events.document
    WHERE events.party = :unit AND events.event = 'received' AND documents.kind = 'document'
) LEFT JOIN units ON units.code = partner
GROUP BY partner
HAVING sum(sent) + sum(received) > 0
ORDER BY sum(sent) + sum(received) DESC, partner
LIMIT :limit
