-- What the pages tell of operations.

-- Whoever shows funds hears of new settings, as he hears of other decisions.
CREATE TRIGGER fund_settings_told AFTER INSERT ON fund_settings FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();

-- The fleet on each ranked day, by currency: for the page Fleet, and for what watches it from outside.
CREATE VIEW fleet_totals AS
SELECT r.day, b.quote_currency, count(*) AS bots, count(*) FILTER (WHERE r.is_active) AS active, count(r.rank) AS ranked,
       sum(m.one_day_performance) AS pnl_1d, sum(m.one_week_performance) AS pnl_7d, sum(m.total_pnl) AS pnl_30d,
       sum(o.open_pnl) AS open_pnl, coalesce(sum(o.open_trades), 0)::bigint AS open_trades, d.funds, d.allocated,
       count(*) FILTER (WHERE a.decision = 'halted') AS halted
FROM bot_rankings_rows AS r
JOIN bots AS b USING (bot_id)
JOIN bot_metrics_rows AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN open_positions AS o ON (o.day, o.bot_id, o.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (r.day, r.bot_id)
LEFT JOIN fund_allocation_days AS d ON (d.day, d.quote_currency) = (r.day, b.quote_currency)
GROUP BY r.day, b.quote_currency, d.funds, d.allocated;
COMMENT ON VIEW fleet_totals IS 'The fleet on each ranked day, by currency: money of different currencies is never added.';
