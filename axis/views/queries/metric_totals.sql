-- Everything that ever happened to all units together, by kind, for the metrics.
SELECT kind, sum(sent) AS sent, sum(received) AS received, sum(refused) AS refused,
    sum(addressed + requeued - received - refused - dead) AS in_flight
FROM days
GROUP BY kind
