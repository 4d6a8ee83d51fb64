-- One bot's place, score and skill on each day from %(first)s to %(last)s. (Of skill a row holds a whole day, with an array a
-- figure: the bot's place in it is looked up once, instead of laying out all bots of all days.)
SELECT r.day, r.rank, r.rank_score, k.p_skill[k.place] AS p_skill, k.edge[k.place] AS edge, k.edge_low[k.place] AS edge_low,
       k.edge_high[k.place] AS edge_high
FROM bot_rankings_rows AS r
LEFT JOIN LATERAL (
    SELECT s.p_skill, s.edge, s.edge_low, s.edge_high, array_position(s.bot_id, r.bot_id) AS place
    FROM bot_skill_rows AS s
    WHERE s.day = r.day AND s.time_window = 'lifetime'
) AS k ON true
WHERE r.bot_id = %(bot)s AND r.day BETWEEN %(first)s AND %(last)s
ORDER BY r.day
