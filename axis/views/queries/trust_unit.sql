-- One registered unit, by its primary code.
SELECT code, name, parent, suspended, enrolled FROM units WHERE code = :code
