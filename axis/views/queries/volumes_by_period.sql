-- Counts per day or month (the first :length characters of a day) from :first to :last, oldest first; of all or a
-- subtree. What was before :first comes first, as one row of the empty period.
WITH RECURSIVE tree (code) AS (
    SELECT code FROM units WHERE :root IS NULL OR code = :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code WHERE :root IS NOT NULL
)
SELECT
    CASE WHEN day < :first THEN '' ELSE substr(day, 1, :length) END AS period,
    sum(sent) AS sent, sum(addressed) AS addressed, sum(received) AS received, sum(refused) AS refused,
    sum(dead) AS dead, sum(requeued) AS requeued, sum(late) AS late,
    sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received
FROM daily
WHERE kind = :kind AND day <= :last AND unit IN (SELECT code FROM tree)
GROUP BY period
ORDER BY period
