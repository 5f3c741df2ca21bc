-- What units without a parent sent and received, documents only, for the metrics.
SELECT units.code, ifnull(sum(sent), 0) AS sent, ifnull(sum(received), 0) AS received
FROM units LEFT JOIN daily ON daily.unit = units.code AND daily.kind = 'document'
WHERE units.parent = ''
GROUP BY units.code
