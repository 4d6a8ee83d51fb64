-- What is believed of strategies on a day, as things stand or under one regime, the largest edge first.
SELECT b.*, (to_jsonb(w) ->> (CASE b.regime WHEN '*' THEN 'weight' ELSE 'weight_' || lower(b.regime) END))::float8 AS weight,
       w.exposure
FROM strategy_beliefs AS b
JOIN strategy_weights AS w USING (day, strategy_id)
WHERE b.day = %(day)s
  AND (%(strategy)s::text IS NULL OR b.strategy_id = %(strategy)s)
  AND (%(regime)s::text IS NULL OR b.regime = %(regime)s)
ORDER BY b.edge DESC, b.strategy_id
