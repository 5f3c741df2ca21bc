-- How many moves there were, up to a limit.
SELECT count(*) FROM (SELECT 1 FROM moves LIMIT :limit)
