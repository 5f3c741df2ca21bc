-- Why recipients refused documents: the reasons given most.
SELECT reason, refused FROM refusals ORDER BY refused DESC LIMIT 10
