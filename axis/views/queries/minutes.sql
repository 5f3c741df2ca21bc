-- Documents accepted, received and refused by the minute, from the place :first to :last.
SELECT events.at / 60000 AS minute, events.event, count(*) AS events
FROM events JOIN documents ON documents.sequence = events.document
WHERE events.sequence BETWEEN :first AND :last AND events.event IN ('accepted', 'received', 'refused')
    AND documents.kind = 'document'
GROUP BY minute, events.event
