-- The counts of volumes, for whoever groups `parts` (parts.sql).
sum(sent) AS sent, sum(addressed) AS addressed, sum(received) AS received, sum(refused) AS refused,
sum(dead) AS dead, sum(requeued) AS requeued, sum(in_flight_before) AS in_flight_before,
sum(in_flight_before + addressed + requeued - received - refused - dead) AS in_flight,
sum(late) AS late, sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received
