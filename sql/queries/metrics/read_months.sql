-- Summaries of the months before $1 of the bots $2 to $3.
SELECT bot_id, ticker, last_day, trades, wins, pnl, gross_profit, gross_loss, peak, first_exit, last_exit,
       leg_peaks, leg_troughs
FROM bot_months
WHERE month < $1 AND bot_id BETWEEN $2 AND $3
