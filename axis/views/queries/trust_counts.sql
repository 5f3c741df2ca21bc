-- How many registered units have a node of their own, have none, are suspended.
SELECT
    count(*) FILTER (WHERE enrolled = 1) AS enrolled,
    count(*) FILTER (WHERE enrolled = 0) AS not_enrolled,
    count(*) FILTER (WHERE suspended = 1) AS suspended
FROM units
