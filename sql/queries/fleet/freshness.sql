-- How fresh each asset is: when its latest figures are true, and when they were computed.
SELECT asset, max(day) AS last_day, count(*) AS days, max(as_of) AS as_of, max(refreshed_at) AS refreshed_at
FROM refreshed_days
WHERE isfinite(as_of)
GROUP BY asset
ORDER BY asset
