-- Trades as `contents` has them, under the ids that they have always had. The database computes the pnl.
INSERT INTO trades
SELECT t.*
FROM contents AS c
CROSS JOIN LATERAL jsonb_populate_record(NULL::trades, c.content || jsonb_build_object(
    'trade_id', c.trade_id, 'source', c.source, 'simulated', c.simulated, 'import_id', c.import_id,
    'recorded_at', clock_timestamp(), 'recorded_xid', pg_current_xact_id()::text)) AS t
ORDER BY c.trade_id
