-- Counts of every registered unit (or of a subtree) from :first to :last, and what was in flight before.
WITH RECURSIVE tree (code) AS (
    SELECT code FROM units WHERE :root IS NULL OR code = :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code WHERE :root IS NOT NULL
)
SELECT
    units.code, units.name, units.parent,
    /* counts */
FROM tree JOIN units USING (code)
LEFT JOIN daily ON daily.unit = units.code AND daily.kind = :kind AND daily.day <= :last
GROUP BY units.code
ORDER BY units.code
