-- How many certificates of each usage are in each state; those that are expiring are active too.
SELECT
    usage,
    count(*) FILTER (WHERE revoked_sequence = 0 AND not_after >= :now) AS active,
    count(*) FILTER (WHERE revoked_sequence = 0 AND not_after >= :now AND not_after < :soon) AS expiring,
    count(*) FILTER (WHERE revoked_sequence = 0 AND not_after < :now) AS expired,
    count(*) FILTER (WHERE revoked_sequence > 0) AS revoked
FROM certificates
GROUP BY usage
