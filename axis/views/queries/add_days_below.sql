-- What happened below a unit, day by day: to those right below it, and below them.
INSERT INTO daily
SELECT :unit, 1, day, kind, sum(sent), sum(addressed), sum(received), sum(refused), sum(dead), sum(requeued),
    sum(late), sum(bytes_sent), sum(bytes_received)
FROM units CROSS JOIN daily ON daily.unit = units.code
WHERE units.parent = :unit
GROUP BY day, kind
