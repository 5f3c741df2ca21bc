-- Counts of every registered unit (or of a subtree) from :first to :last, and what was in flight before.
WITH RECURSIVE tree (code) AS (
    SELECT code FROM units WHERE :root IS NULL OR code = :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code WHERE :root IS NOT NULL
)
SELECT
    units.code, units.name, units.parent,
    ifnull(sum(sent) FILTER (WHERE day >= :first), 0) AS sent,
    ifnull(sum(addressed) FILTER (WHERE day >= :first), 0) AS addressed,
    ifnull(sum(received) FILTER (WHERE day >= :first), 0) AS received,
    ifnull(sum(refused) FILTER (WHERE day >= :first), 0) AS refused,
    ifnull(sum(dead) FILTER (WHERE day >= :first), 0) AS dead,
    ifnull(sum(requeued) FILTER (WHERE day >= :first), 0) AS requeued,
    ifnull(sum(addressed + requeued - received - refused - dead) FILTER (WHERE day < :first), 0)
        AS in_flight_before,
    ifnull(sum(addressed + requeued - received - refused - dead), 0) AS in_flight,
    ifnull(sum(late) FILTER (WHERE day >= :first), 0) AS late,
    ifnull(sum(bytes_sent) FILTER (WHERE day >= :first), 0) AS bytes_sent,
    ifnull(sum(bytes_received) FILTER (WHERE day >= :first), 0) AS bytes_received
FROM tree JOIN units USING (code)
LEFT JOIN daily ON daily.unit = units.code AND daily.kind = :kind AND daily.day <= :last
GROUP BY units.code
ORDER BY units.code
