-- The scores of closed trades with exit_time >= $1 that transactions of the snapshot $3 wrote and those of $2 did not, or
-- whose trade they wrote.
WITH arrived AS (
    SELECT trade_id FROM trade_scores
    WHERE recorded_xid >= pg_snapshot_xmin($2::pg_snapshot) AND NOT pg_visible_in_snapshot(recorded_xid, $2::pg_snapshot)
    UNION
    SELECT trade_id FROM closed_trades
    WHERE recorded_xid >= pg_snapshot_xmin($2::pg_snapshot) AND NOT pg_visible_in_snapshot(recorded_xid, $2::pg_snapshot)
      AND exit_time >= $1
)
SELECT t.trade_id, t.bot_id, t.ticker, t.entry_time, t.exit_time,
       s.price_model_score, s.volume_model_score, s.price_wall_score
FROM arrived
JOIN trade_scores AS s USING (trade_id)
JOIN closed_trades AS t USING (trade_id)
WHERE t.exit_time >= $1
  AND pg_visible_in_snapshot(s.recorded_xid, $3::pg_snapshot) AND pg_visible_in_snapshot(t.recorded_xid, $3::pg_snapshot)
