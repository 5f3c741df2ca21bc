-- Whether a unit was ever moved away from below this one.
SELECT 1 FROM moves WHERE ancestor = :unit LIMIT 1
