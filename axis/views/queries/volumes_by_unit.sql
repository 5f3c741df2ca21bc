-- Counts of every registered unit (or of a subtree) in a period, and what was in flight before.
WITH RECURSIVE tree (code) AS (
    SELECT code FROM units WHERE :root IS NULL OR code = :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code WHERE :root IS NOT NULL
),
counted (code, below, branch) AS MATERIALIZED (SELECT code, 0, code FROM tree),
/* parts */
SELECT units.code, units.name, units.parent, counts.*
FROM (SELECT branch, /* counts */ FROM parts GROUP BY branch) AS counts JOIN units ON units.code = counts.branch
ORDER BY units.code
