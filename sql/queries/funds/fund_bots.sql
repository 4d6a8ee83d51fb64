-- What the funds of the days %(first)s to %(last)s are divided by: each bot of their rankings.
SELECT r.day, r.bot_id, b.quote_currency, m.capital, m.capital_is_estimated, m.main_ticker AS ticker, r.rank, r.rank_score,
       r.reason AS unranked,
       s.p_skill, s.p_same_edge,
       b.name AS bot
FROM bot_rankings AS r
JOIN bots AS b USING (bot_id)
JOIN bot_metrics AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN bot_skill AS s ON (s.day, s.bot_id, s.time_window) = (r.day, r.bot_id, 'lifetime')
WHERE r.day BETWEEN %(first)s AND %(last)s
ORDER BY r.day, r.bot_id
