-- Computed days without the 19 weights of one decimal whose absolute values sum to exactly 100.0.
SELECT day, count(variable) AS variables, sum(abs(weight::numeric)) AS absolute_sum
FROM refreshed_days
LEFT JOIN variable_weights USING (day)
WHERE asset = 'variable_weights' AND day BETWEEN %(first)s AND %(last)s
GROUP BY day
HAVING count(variable) <> 19
    OR sum(abs(weight::numeric)) <> 100
    OR bool_or(weight::numeric <> round(weight::numeric, 1))
ORDER BY day
