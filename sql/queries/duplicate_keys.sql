-- Keys that occur more than once among the closed trades of the days; none, or the table is not the one we made.
SELECT count(*) FROM (
    SELECT FROM trades
    WHERE status = 'closed'
      AND exit_time >= %(first)s::date::timestamp AT TIME ZONE 'UTC'
      AND exit_time < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY source, source_trade_id HAVING count(*) > 1) AS repeated
