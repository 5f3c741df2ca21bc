-- The time of one place; places are dense and times never run backwards, so a bisection finds a time's place.
SELECT at FROM events WHERE sequence = :sequence
