-- The regimes that hold at the as_of of each day from $1 to $2, weighed by the trades of the trailing 30 days. What is
-- missing to 1 is undecided or without market data.
SELECT d.day, m.label, sum(d.trades)::double precision / sum(sum(d.trades)) OVER (PARTITION BY d.day) AS share
FROM (
    SELECT day, as_of, ticker, sum(trades) AS trades FROM bot_metrics
    WHERE day BETWEEN $1 AND $2 AND ticker <> '*' AND trades > 0
    GROUP BY day, as_of, ticker
) AS d
LEFT JOIN regime_series AS s ON s.ticker = d.ticker
LEFT JOIN LATERAL regime_at(s, d.as_of) AS m ON true
GROUP BY d.day, m.label
ORDER BY d.day, m.label
