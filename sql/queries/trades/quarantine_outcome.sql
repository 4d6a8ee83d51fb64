-- What the refused rows are in quarantine: how many are held, by reason, and how many a person or a correction has settled.
SELECT r.reason, q.status = 'held' AS is_held, count(*)
FROM refused AS r
JOIN trade_quarantine AS q
    ON q.source = %(source)s AND q.reason = r.reason AND md5(q.original::text) = md5(r.original::text)
GROUP BY 1, 2
