-- The first and the last day on which a trade closed.
SELECT day_of(min(exit_time)), day_of(max(exit_time)) FROM closed_trades
