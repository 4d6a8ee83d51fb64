-- Days that were ranked with another version of the weights than the last one from strictly before their as_of.
SELECT DISTINCT r.day, r.as_of, r.weight_version, v.version AS in_force
FROM bot_rankings AS r
CROSS JOIN LATERAL (
    SELECT version FROM weight_versions
    WHERE in_force_from < r.as_of ORDER BY in_force_from DESC, version DESC LIMIT 1
) AS v
WHERE r.day BETWEEN %(first)s AND %(last)s AND r.weight_version <> v.version
ORDER BY r.day
