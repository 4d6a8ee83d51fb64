-- What a reading of a followed file brought; 0 trades are no arrival.
UPDATE followed_files
SET (source, trades, looked_at, arrived_at, trouble)
  = (%(source)s, trades + %(trades)s, clock_timestamp(),
     CASE WHEN %(trades)s > 0 THEN clock_timestamp() ELSE arrived_at END, NULL)
WHERE path = %(path)s
