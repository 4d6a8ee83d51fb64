-- The scores of the trades with $1 <= exit_time < $2.
SELECT t.trade_id, t.bot_id, t.ticker, t.entry_time, t.exit_time,
       s.price_model_score, s.volume_model_score, s.price_wall_score
FROM trade_scores AS s
JOIN closed_trades AS t USING (trade_id)
WHERE t.exit_time >= $1 AND t.exit_time < $2
  AND num_nonnulls(s.price_model_score, s.volume_model_score, s.price_wall_score) > 0
