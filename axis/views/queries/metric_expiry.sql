-- When the newest certificates of each organisation expire: the earlier one of TLS and signing.
SELECT organisation, min(expires) AS expires
FROM (
    SELECT organisation, usage, max(not_after) AS expires
    FROM certificates WHERE revoked_sequence = 0
    GROUP BY organisation, usage
)
GROUP BY organisation
