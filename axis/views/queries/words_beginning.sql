-- Listed words that begin as typed.
SELECT word FROM words WHERE word >= :word AND word < :word || char(1114111) LIMIT :limit
