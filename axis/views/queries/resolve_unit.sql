-- The primary code of a unit, by any of its codes.
SELECT unit FROM aliases WHERE code = :code
