-- What a unit sent and received from month :first to :last, by the hour of the day.
SELECT hour, sum(sent) AS sent, sum(received) AS received
FROM hours WHERE unit = :unit AND month BETWEEN :first AND :last
GROUP BY hour
