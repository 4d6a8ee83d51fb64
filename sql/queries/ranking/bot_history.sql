-- One bot's place, score and skill on each day from %(first)s to %(last)s.
-- Of the day's arrays of all bots only the place of this one is taken, which view `bot_skill` would unfold for all.
SELECT r.day, r.rank, r.rank_score, k.p_skill[k.place] AS p_skill, k.edge[k.place] AS edge,
       k.edge_low[k.place] AS edge_low, k.edge_high[k.place] AS edge_high
FROM bot_rankings_rows AS r
LEFT JOIN (SELECT *, array_position(bot_id, %(bot)s) AS place FROM bot_skill_rows) AS k
    ON k.day = r.day AND k.time_window = 'lifetime'
WHERE r.bot_id = %(bot)s AND r.day BETWEEN %(first)s AND %(last)s
ORDER BY r.day
