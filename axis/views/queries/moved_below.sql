-- Units of a subtree, but for its root, that were ever moved in the tree; upwards from all that were.
WITH RECURSIVE above (unit, code) AS (
    SELECT unit, unit FROM moves
    UNION
    SELECT above.unit, units.parent FROM above JOIN units USING (code) WHERE units.parent <> ''
)
SELECT unit FROM above WHERE code = :root AND unit <> :root
