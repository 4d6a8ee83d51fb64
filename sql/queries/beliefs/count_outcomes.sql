-- How many closed trades there are from %(since)s on; of one strategy, or of all.
SELECT count(*) FROM closed_trades
WHERE exit_time >= %(since)s AND (%(strategy)s::text IS NULL OR strategy_id = %(strategy)s)
