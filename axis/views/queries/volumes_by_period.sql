-- Counts of a unit with all below it, per day or month (the first :length characters of a day), oldest first. What was
-- in flight before comes first, as the row of the empty period.
WITH counted (code, below, branch) AS MATERIALIZED (VALUES (:root, 0, :root), (:root, 1, :root)),
/* parts */
SELECT substr(period, 1, :length) AS in_period, /* counts */
FROM parts
GROUP BY in_period
ORDER BY in_period
