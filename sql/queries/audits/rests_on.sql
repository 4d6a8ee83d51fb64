-- Days of %(asset)s that were computed from another computation of %(upstream)s than the one that is there.
SELECT d.day, d.as_of, (d.rests_on ->> %(upstream)s)::bigint AS computed_from, u.mark AS there, u.refreshed_at
FROM refreshed_days AS d
LEFT JOIN refreshed_days AS u ON (u.asset, u.day) = (%(upstream)s, d.day)
WHERE d.asset = %(asset)s AND d.day BETWEEN %(first)s AND %(last)s AND d.rests_on ? %(upstream)s
  AND (d.rests_on ->> %(upstream)s)::bigint IS DISTINCT FROM u.mark
ORDER BY d.day
