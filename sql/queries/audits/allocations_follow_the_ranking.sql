-- Bots whose allocation was made from another ranking than the day's.
SELECT day, bot_id, a.rank AS rank_of_allocation, r.rank, a.as_of AS as_of_of_allocation, r.as_of
FROM fund_allocations AS a
LEFT JOIN bot_rankings AS r USING (day, bot_id)
WHERE day BETWEEN %(first)s AND %(last)s AND ((a.rank, a.as_of) IS DISTINCT FROM (r.rank, r.as_of))
ORDER BY day, bot_id
