-- What each bot's days before the month $1 left of its results, by bot and month.
SELECT bot_id, days, day_trades, day_wins, day_losses, day_pnl, day_m2, day_m3
FROM bot_months
WHERE month < $1 AND ticker = '*'
ORDER BY bot_id, month
