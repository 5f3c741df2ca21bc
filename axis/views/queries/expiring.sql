-- Organisations of which the newest certificate of a usage ends before :soon, and when the first of these
-- does. Begins at the certificates that do: few of all, while those in use are many.
SELECT organisation, min(expires) AS expires
FROM (
    SELECT ending.organisation, ending.usage, max(ending.not_after) AS expires
    FROM certificates AS ending INDEXED BY certificates_expiry
    WHERE ending.not_after < :soon AND ending.revoked_sequence = 0 AND NOT EXISTS (
        SELECT 1 FROM certificates AS newer INDEXED BY certificates_organisation
        WHERE newer.organisation = ending.organisation AND newer.not_after >= :soon
            AND newer.usage = ending.usage AND newer.revoked_sequence = 0
    )
    GROUP BY ending.organisation, ending.usage
)
GROUP BY organisation
ORDER BY organisation
