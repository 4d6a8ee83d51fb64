-- What the daily adjustment came to on the days %(first)s to %(last)s.
SELECT day, as_of, outcome, reason, evidence, version, created_at
FROM weight_adjustments
WHERE day BETWEEN %(first)s AND %(last)s
ORDER BY day
