-- Certificates of an organisation, newest first.
SELECT usage, serial, not_before, not_after, revoked_at, revoked_sequence, reason
FROM certificates WHERE organisation = :unit
ORDER BY issued_sequence DESC
