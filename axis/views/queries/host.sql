-- The unit whose node serves a unit: the nearest one with a node, the unit itself included.
WITH RECURSIVE above (code, parent, enrolled, level) AS (
    SELECT code, parent, enrolled, 1 FROM units WHERE code = :code
    UNION ALL
    SELECT units.code, units.parent, units.enrolled, level + 1
    FROM above JOIN units ON units.code = above.parent
    WHERE above.enrolled = 0 AND above.parent <> '' AND level < :levels
)
SELECT code FROM above WHERE enrolled = 1
