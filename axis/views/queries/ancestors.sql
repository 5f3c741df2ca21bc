-- Everything above a unit, nearest first. Registration keeps the tree free of cycles.
WITH RECURSIVE above (code, level) AS (
    SELECT parent, 1 FROM units WHERE code = :code AND parent <> ''
    UNION ALL
    SELECT units.parent, level + 1 FROM above JOIN units USING (code) WHERE units.parent <> '' AND level < :levels
)
SELECT code FROM above ORDER BY level
