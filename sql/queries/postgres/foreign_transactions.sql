-- Whether transactions are noted down that have not happened on this server.
SELECT pg_snapshot_xmax(pg_current_snapshot()) < greatest(
    (SELECT recorded_xid FROM trades ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT pg_snapshot_xmax(seen) FROM settled_trades),
    (SELECT recorded_below FROM bot_months_state),
    (SELECT pg_snapshot_xmax(seen) FROM refreshed_days ORDER BY pg_snapshot_xmax(seen) DESC LIMIT 1),
    (SELECT recorded_xid FROM belief_changes ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT pg_snapshot_xmax(seen) FROM belief_checkpoints_state),
    (SELECT recorded_xid FROM trade_scores ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM price_bars ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM order_book_levels ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT pg_snapshot_xmax(seen) FROM settled_market),
    '1'::xid8)
