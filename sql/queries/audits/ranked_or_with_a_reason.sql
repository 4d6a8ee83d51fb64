-- Bots with metrics that the day's ranking does not list, or lists with neither a rank nor a reason, or with both.
SELECT m.day, m.bot_id, m.trades, r.rank, r.reason, r.bot_id IS NOT NULL AS listed
FROM bot_metrics AS m
LEFT JOIN bot_rankings AS r ON (r.day, r.bot_id) = (m.day, m.bot_id)
WHERE m.day BETWEEN %(first)s AND %(last)s AND m.ticker = '*'
  AND (r.bot_id IS NULL OR num_nulls(r.rank, r.reason) <> 1)
ORDER BY m.day, m.bot_id
