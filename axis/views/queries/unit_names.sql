-- Names of registered units, codes in a JSON list.
SELECT code, name FROM units WHERE code IN (SELECT value FROM json_each(:codes))
