-- What units without a parent sent and received, documents only, for the metrics.
SELECT units.code, ifnull(sum(sent), 0) AS sent, ifnull(sum(received), 0) AS received
FROM units LEFT JOIN monthly ON monthly.unit = units.code AND monthly.below = 0 AND monthly.kind = 'document'
WHERE units.parent = ''
GROUP BY units.code
