-- Scores of trades that had none. A trade of which the market data tell nothing needs no row.
INSERT INTO trade_scores (trade_id, price_model_score, volume_model_score, price_wall_score)
SELECT s.trade_id, s.price_model_score, s.volume_model_score, s.price_wall_score
FROM scored AS s
JOIN trades USING (trade_id)
WHERE num_nonnulls(s.price_model_score, s.volume_model_score, s.price_wall_score) > 0
ORDER BY s.trade_id
ON CONFLICT DO NOTHING
