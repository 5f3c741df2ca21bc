-- With whom a unit exchanged most documents from month :first to :last: deliveries addressed to each, received from each.
SELECT partner AS code, ifnull(units.name, '') AS name, sum(sent) AS sent, sum(received) AS received
FROM (
    SELECT recipient AS partner, addressed AS sent, 0 AS received
    FROM pairs WHERE sender = :unit AND month BETWEEN :first AND :last
    UNION ALL
    SELECT sender, 0, received FROM pairs WHERE recipient = :unit AND month BETWEEN :first AND :last
) LEFT JOIN units ON units.code = partner
GROUP BY partner
HAVING sum(sent) + sum(received) > 0
ORDER BY sum(sent) + sum(received) DESC, partner
LIMIT :limit
