-- The same by the month, with what is in flight at its end.
INSERT INTO monthly
SELECT :unit, 1, kind, month, sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received,
    sum(addressed + requeued - received - refused - dead) OVER (PARTITION BY kind ORDER BY month)
FROM (
    SELECT kind, substr(day, 1, 7) AS month, sum(sent) AS sent, sum(addressed) AS addressed, sum(received) AS received,
        sum(refused) AS refused, sum(dead) AS dead, sum(requeued) AS requeued, sum(late) AS late,
        sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received
    FROM daily WHERE unit = :unit AND below = 1
    GROUP BY kind, substr(day, 1, 7)
)
