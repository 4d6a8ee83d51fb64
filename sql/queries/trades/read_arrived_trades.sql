-- Closed trades with exit_time >= $1 that transactions of the snapshot $3 wrote and those of $2 did not, as the metrics
-- engine reads them.
SELECT trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl, slippage, fees
FROM closed_trades
WHERE exit_time >= $1
  AND recorded_xid >= pg_snapshot_xmin($2::pg_snapshot)
  AND NOT pg_visible_in_snapshot(recorded_xid, $2::pg_snapshot)
  AND pg_visible_in_snapshot(recorded_xid, $3::pg_snapshot)
