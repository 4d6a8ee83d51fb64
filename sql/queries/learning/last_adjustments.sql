-- What the daily adjustment came to on the last %(count)s days that it was asked about, the latest first.
SELECT day, as_of, outcome, reason, evidence, version, created_at
FROM weight_adjustments
ORDER BY day DESC
LIMIT %(count)s
