-- Which of some words are listed.
SELECT word FROM words WHERE word IN (SELECT value FROM json_each(:words))
