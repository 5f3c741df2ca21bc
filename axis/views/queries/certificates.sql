-- Certificates by their end, after a place, before :high.
SELECT sha256, organisation, usage, serial, hierarchy, not_before, not_after, revoked_sequence, revoked_at, reason
FROM certificates
WHERE (not_after, sha256) > (:not_after, :sha256) AND not_after < :high /* and */
ORDER BY not_after, sha256
LIMIT :count
