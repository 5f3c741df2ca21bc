-- How many units stand below one now: those right below it, and those below them.
UPDATE units SET units_below = (
    SELECT count(*) + ifnull(sum(child.units_below), 0) FROM units AS child WHERE child.parent = units.code
)
WHERE code = :unit
