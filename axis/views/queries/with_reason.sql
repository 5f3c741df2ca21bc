-- Of given places (a JSON list) those whose reason, note or detail is exactly this; empty: those without one.
SELECT sequence FROM events
WHERE sequence IN (SELECT value FROM json_each(:sequences)) AND reason = :reason
