-- What a unit sent and received by the hour of Vietnam's day: in whole months, and on other days by the events there,
-- places in JSON lists.
SELECT hour, sum(sent) AS sent, sum(received) AS received
FROM (
    SELECT hour, sent, received FROM hours
    WHERE unit = :unit AND month BETWEEN :first_month AND :last_month
    UNION ALL
    SELECT (accepted_at / 3600000 + 7) % 24, 1, 0
    FROM json_each(:as_sender) CROSS JOIN documents ON documents.sequence = value
    WHERE documents.sender = :unit AND documents.kind = 'document'
    UNION ALL
    SELECT (events.at / 3600000 + 7) % 24, 0, 1
    FROM json_each(:as_recipient) CROSS JOIN events ON events.sequence = value
    CROSS JOIN documents ON documents.sequence = events.document
    WHERE events.party = :unit AND events.event = 'received' AND documents.kind = 'document'
)
GROUP BY hour
