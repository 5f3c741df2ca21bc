-- Units of a subtree, but for its root, that were ever moved in the tree; downwards from it.
WITH RECURSIVE tree (code) AS (
    SELECT :root
    UNION
    SELECT units.code FROM tree JOIN units ON units.parent = tree.code
)
SELECT code FROM tree WHERE code <> :root AND EXISTS (SELECT 1 FROM moves WHERE unit = code)
