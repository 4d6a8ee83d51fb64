-- One bot's place, score and skill on each day from %(first)s to %(last)s.
SELECT r.day, r.rank, r.rank_score, k.p_skill, k.edge, k.edge_low, k.edge_high
FROM bot_rankings_rows AS r
LEFT JOIN bot_skill AS k ON k.day = r.day AND k.bot_id = r.bot_id AND k.time_window = 'lifetime'
WHERE r.bot_id = %(bot)s AND r.day BETWEEN %(first)s AND %(last)s
ORDER BY r.day
