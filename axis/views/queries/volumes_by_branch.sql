-- Counts of each unit right below :root (of each top unit if it is empty) together with everything below that unit,
-- and of :root itself alone; in a period, and what was in flight before.
WITH counted (code, below, branch) AS MATERIALIZED (
    SELECT code, 0, code FROM units WHERE parent = :root OR code = :root
    UNION ALL
    SELECT code, 1, code FROM units WHERE parent = :root
),
/* parts */
SELECT units.code, units.name, units.parent, units.suspended, units.enrolled, units.units_below, counts.*
FROM (SELECT branch, /* counts */ FROM parts GROUP BY branch) AS counts JOIN units ON units.code = counts.branch
ORDER BY units.code = :root DESC, units.code
