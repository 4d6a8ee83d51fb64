-- What was believed as things stood, day after day, of some strategies or all, the last %(days)s days.
SELECT b.day, b.as_of, b.strategy_id, b.win_rate, b.win_rate_low, b.win_rate_high, b.edge, b.edge_low, b.edge_high,
       b.confidence, b.effective_samples, w.weight, w.exposure
FROM strategy_beliefs AS b
JOIN strategy_weights AS w USING (day, strategy_id)
WHERE b.regime = '*' AND b.day > (SELECT max(day) FROM strategy_beliefs) - %(days)s
  AND (%(chosen)s::text[] IS NULL OR b.strategy_id = ANY(%(chosen)s))
ORDER BY b.day, b.strategy_id
