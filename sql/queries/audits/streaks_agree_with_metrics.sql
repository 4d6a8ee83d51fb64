-- Bots with trades in the window whose streaks and metrics do not rest on the same trades, or that have but one of them.
WITH streaks AS (
    SELECT day, bot_id, trades, win_rate, longest_win_streak
    FROM win_streak_summary
    WHERE day BETWEEN %(first)s AND %(last)s
),
metrics AS (
    SELECT day, bot_id, trades, avg_win_rate, wins
    FROM bot_metrics
    WHERE day BETWEEN %(first)s AND %(last)s AND ticker = '*' AND trades > 0
)
SELECT day, bot_id, s.trades AS trades_of_streaks, m.trades AS trades_of_metrics,
       s.win_rate AS win_rate_of_streaks, m.avg_win_rate AS win_rate_of_metrics
FROM streaks AS s
FULL JOIN metrics AS m USING (day, bot_id)
WHERE s.trades IS DISTINCT FROM m.trades
   OR abs(s.win_rate - m.avg_win_rate) > 1e-9
   OR s.longest_win_streak > m.wins
ORDER BY day, bot_id
