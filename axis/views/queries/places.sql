-- Places in a range, in order.
SELECT sequence FROM events WHERE sequence BETWEEN :low AND :high ORDER BY sequence /* order */ LIMIT :count
