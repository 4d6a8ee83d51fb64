-- What the weights of the days $1 to $2 rest on.
SELECT day, as_of, strategy_id, regime, edge, edge_sd
FROM strategy_beliefs
WHERE day BETWEEN $1 AND $2
ORDER BY day, strategy_id, regime
