-- Rows that hold an infinite figure or NaN, sums without trades or trades without sums, or counts that cannot be.
-- (amounts: the absolute value of every figure that is not a count.)
SELECT day, bot_id, ticker, trades, wins, losses, total_pnl
FROM bot_metrics
WHERE day BETWEEN %(first)s AND %(last)s
  AND (greatest({amounts}) >= 'infinity'
       OR num_nulls(total_pnl, avg_pnl, gross_profit, gross_loss, avg_win_rate, best_trade, worst_trade)
          <> CASE WHEN trades > 0 THEN 0 ELSE 7 END
       OR trades > lifetime_trades
       OR wins + losses > trades
       OR avg_win_rate NOT BETWEEN 0 AND 100
       OR max_drawdown_amount < 0)
ORDER BY day, bot_id, ticker
