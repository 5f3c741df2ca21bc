-- One certificate, by its serial number.
SELECT sha256, organisation, usage, serial, hierarchy, not_before, not_after, revoked_sequence, revoked_at, reason
FROM certificates WHERE serial = :serial
