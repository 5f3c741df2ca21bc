-- The same of all units together: a row for each day of the axis is little to read.
WITH parts AS (
    SELECT CASE WHEN day < :first THEN '' ELSE substr(day, 1, :length) END AS in_period, *,
        iif(day < :first, addressed + requeued - received - refused - dead, 0) AS in_flight_before
    FROM days WHERE kind = :kind AND day <= :last
)
SELECT in_period, /* counts */
FROM parts
GROUP BY in_period
ORDER BY in_period
