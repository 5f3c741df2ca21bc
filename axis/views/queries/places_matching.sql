-- Places in a range whose terms match, in order: the index's own, so nothing is sorted.
SELECT rowid FROM search WHERE search MATCH :match AND rowid BETWEEN :low AND :high
ORDER BY rowid /* order */ LIMIT :count
