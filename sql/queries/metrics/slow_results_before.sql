-- The net results of the 90 days before $1, and, in the rows of the last computed one of all days before it, the sums up to
-- there.
SELECT day, bot_id, net_result, lifetime_total, lifetime_days,
       day = (SELECT max(day) FROM slow_results WHERE day < $1) AS is_last
FROM slow_results
WHERE day < $1 AND day >= least($1 - 90, (SELECT max(day) FROM slow_results WHERE day < $1))
  AND (net_result IS NOT NULL OR day = (SELECT max(day) FROM slow_results WHERE day < $1))
ORDER BY day, bot_id
