-- Every attempt of every delivery of a document, in the order of its recipients.
SELECT unit, attempt, host, state, opened_at, outcome_sequence, outcome_at, stored_at, reason
FROM deliveries WHERE document = :document
ORDER BY ordinal, unit, attempt
