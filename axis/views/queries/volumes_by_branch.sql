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
    /* counts */
FROM counted JOIN units ON units.code = counted.branch
LEFT JOIN daily ON daily.unit = counted.code AND daily.kind = :kind AND daily.day <= :last
GROUP BY units.code
ORDER BY units.code = :root DESC, units.code
