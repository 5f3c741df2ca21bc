-- Registered units by code, after a place.
SELECT code, name, parent, suspended, enrolled FROM units WHERE code > :after /* and */ ORDER BY code LIMIT :count
