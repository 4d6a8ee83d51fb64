-- The scores in the table `scored` of the simulated trades, by their ids.
INSERT INTO trade_scores (trade_id, price_model_score, volume_model_score, price_wall_score)
SELECT t.trade_id, s.price_model_score, s.volume_model_score, s.price_wall_score
FROM scored AS s
JOIN trades AS t ON t.simulated AND t.source_trade_id = s.source_trade_id
