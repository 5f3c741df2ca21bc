-- What a recall, update or replacement names.
SELECT named FROM originals WHERE document = :sequence ORDER BY named
