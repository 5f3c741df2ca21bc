-- Of `counted (code, below, branch)`, units or what is below them, and what each is counted for: what is to be added up
-- for a period, whole months as they are kept, other days one by one; and, for the empty period, what was in flight
-- before.
parts (
    branch, period, in_flight_before,
    sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received
) AS (
    SELECT branch, '', ifnull((
        SELECT in_flight FROM monthly
        WHERE unit = counted.code AND monthly.below = counted.below AND kind = :kind AND month < :month
        ORDER BY month DESC LIMIT 1
    ), 0), 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM counted
    UNION ALL
    SELECT branch, '', addressed + requeued - received - refused - dead, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM counted CROSS JOIN daily
        ON unit = code AND daily.below = counted.below AND day >= :since AND day < :first AND kind = :kind
    WHERE :since IS NOT NULL
    UNION ALL
    SELECT branch, month, 0, sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received
    FROM counted CROSS JOIN monthly
        ON unit = code AND monthly.below = counted.below AND kind = :kind AND month BETWEEN :first_month AND :last_month
    WHERE :first_month IS NOT NULL
    UNION ALL
    SELECT branch, day, 0, sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received
    FROM counted CROSS JOIN daily
        ON unit = code AND daily.below = counted.below AND day BETWEEN :first AND :early AND kind = :kind
    WHERE :early IS NOT NULL
    UNION ALL
    SELECT branch, day, 0, sent, addressed, received, refused, dead, requeued, late, bytes_sent, bytes_received
    FROM counted CROSS JOIN daily
        ON unit = code AND daily.below = counted.below AND day BETWEEN :late AND :last AND kind = :kind
    WHERE :late IS NOT NULL
)
