-- What happened to all units together, day by day, documents only.
SELECT day, sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received
FROM days WHERE kind = 'document' ORDER BY day
