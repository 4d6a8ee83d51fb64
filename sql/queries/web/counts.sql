-- How much there is, as quickly as a page asks: bots, trades by status, held rows. Closed trades are those that the last computed
-- day has counted, and those that closed since: a count of them all would take as long as the history is.
WITH last AS (
    SELECT day, as_of FROM refreshed_days WHERE asset = 'bot_metrics' ORDER BY day DESC LIMIT 1
),
trades_by_status AS MATERIALIZED (
    SELECT coalesce((SELECT sum(m.lifetime_trades) FROM bot_metrics_rows AS m, last WHERE m.day = last.day AND m.ticker = '*'), 0)
           + (SELECT count(*) FROM trades
              WHERE status = 'closed' AND exit_time >= coalesce((SELECT as_of FROM last), '-infinity')) AS closed,
           (SELECT count(*) FROM trades WHERE status <> 'closed') AS open
)
SELECT (SELECT count(*) FROM bots) AS bots, (closed + open)::bigint AS trades, closed::bigint, open,
       (SELECT count(*) FROM trade_quarantine WHERE status = 'held') AS held
FROM trades_by_status
