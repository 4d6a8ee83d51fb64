-- The scores of the trades of the bots $1 to $2 with $3 <= exit_time < $4.
SELECT t.trade_id, t.bot_id, t.ticker, t.entry_time, t.exit_time,
       s.price_model_score, s.volume_model_score, s.price_wall_score
FROM trade_scores AS s
JOIN closed_trades AS t USING (trade_id)
WHERE t.bot_id BETWEEN $1 AND $2 AND t.exit_time >= $3 AND t.exit_time < $4
  AND num_nonnulls(s.price_model_score, s.volume_model_score, s.price_wall_score) > 0
