-- Weights of another version than the one in force once the day was ranked, or other than that version's.
SELECT w.day, w.variable, w.weight, w.version, v.version AS in_force, (to_jsonb(v) ->> w.variable)::float8 AS its_weight
FROM variable_weights AS w
CROSS JOIN LATERAL (
    SELECT * FROM weight_versions WHERE in_force_from <= w.as_of ORDER BY in_force_from DESC, version DESC LIMIT 1
) AS v
WHERE w.day BETWEEN %(first)s AND %(last)s
  AND (w.version <> v.version OR w.weight IS DISTINCT FROM (to_jsonb(v) ->> w.variable)::float8)
ORDER BY w.day, w.variable
