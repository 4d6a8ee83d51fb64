-- The weights in force on each day from $1 to $2, and the version that they are of; each may be NULL. in_force_from: NULL of
-- what was in force from the beginning.
SELECT w.day, w.as_of, w.variable, w.weight, w.version, v.author, v.reason,
       CASE WHEN isfinite(v.in_force_from) THEN v.in_force_from END AS in_force_from
FROM variable_weights AS w
JOIN weight_versions AS v USING (version)
WHERE ($1::date IS NULL OR w.day >= $1::date) AND ($2::date IS NULL OR w.day <= $2::date)
ORDER BY w.day, abs(w.weight) DESC, w.variable
