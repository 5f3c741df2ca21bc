-- Counts of each unit right below :root (of each top unit if it is empty) together with everything below that unit,
-- and of :root itself alone; from :first to :last, and what was in flight before.
WITH RECURSIVE tree (code, branch) AS (
    SELECT code, code FROM units WHERE parent = :root
    UNION
    SELECT units.code, tree.branch FROM tree JOIN units ON units.parent = tree.code
),
counted (code, branch) AS (SELECT * FROM tree UNION ALL SELECT code, code FROM units WHERE code = :root)
SELECT
    units.code, units.name, units.parent, units.suspended, units.enrolled,
    count(DISTINCT counted.code) - 1 AS below,
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
FROM counted JOIN units ON units.code = counted.branch
LEFT JOIN daily ON daily.unit = counted.code AND daily.kind = :kind AND daily.day <= :last
GROUP BY units.code
ORDER BY units.code = :root DESC, units.code
