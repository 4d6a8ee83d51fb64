-- Whether transactions are noted down that have not happened on this server.
SELECT pg_snapshot_xmax(pg_current_snapshot()) < greatest(
    (SELECT recorded_xid FROM trades ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM trade_scores ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM price_bars ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM order_book_levels ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM weight_versions ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM fund_settings ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM bot_events ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_xid FROM input_changes ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT pg_snapshot_xmax(seen) FROM settled_changes ORDER BY pg_snapshot_xmax(seen) DESC LIMIT 1),
    (SELECT pg_snapshot_xmax(seen) FROM refreshed_days ORDER BY pg_snapshot_xmax(seen) DESC LIMIT 1),
    (SELECT recorded_xid FROM refreshed_days ORDER BY recorded_xid DESC LIMIT 1),
    (SELECT recorded_below FROM bot_months_state),
    (SELECT pg_snapshot_xmax(seen) FROM belief_checkpoints_state),
    '1'::xid8)
