-- The counts of volumes, for whoever groups rows of `daily` up to :last; since :first, and in flight before.
ifnull(sum(sent) FILTER (WHERE day >= :first), 0) AS sent,
ifnull(sum(addressed) FILTER (WHERE day >= :first), 0) AS addressed,
ifnull(sum(received) FILTER (WHERE day >= :first), 0) AS received,
ifnull(sum(refused) FILTER (WHERE day >= :first), 0) AS refused,
ifnull(sum(dead) FILTER (WHERE day >= :first), 0) AS dead,
ifnull(sum(requeued) FILTER (WHERE day >= :first), 0) AS requeued,
ifnull(sum(addressed + requeued - received - refused - dead) FILTER (WHERE day < :first), 0)
    AS in_flight_before,
ifnull(sum(addressed + requeued - received - refused - dead), 0) AS in_flight,
ifnull(sum(late) FILTER (WHERE day >= :first), 0) AS late,
ifnull(sum(bytes_sent) FILTER (WHERE day >= :first), 0) AS bytes_sent,
ifnull(sum(bytes_received) FILTER (WHERE day >= :first), 0) AS bytes_received
