-- Files that are followed, or were; `is_followed`: its follower was heard of within so many seconds.
SELECT path, source, trades, arrived_at, looked_at, looked_at > clock_timestamp() - %(silent)s * interval '1 second' AS is_followed,
       trouble
FROM followed_files
ORDER BY path
