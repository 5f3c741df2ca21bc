-- A unit and everything that stands below it now.
WITH RECURSIVE tree (code) AS (
    SELECT :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code
)
SELECT code FROM tree
