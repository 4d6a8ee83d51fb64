-- Trades of fills that hold their position while a recorded trade of the source does, under an id that the file does not
-- have. A position is one trade from flat to flat, so that one of the two files lacks fills of the other, and both trades
-- together count some fills twice. Recorded trades of a position follow each other: the last one before, and the first one
-- within, tell. An open one is over where the file has fills after its entry that closed what it did not open.
WITH contradicted AS (
    SELECT DISTINCT ON (n.row_number) n.row_number, o.trade_id
    FROM incoming n
    JOIN spans s USING (row_number)
    CROSS JOIN LATERAL (
        (SELECT t.trade_id, t.source_trade_id FROM trades t
         WHERE t.bot_id = n.bot_id AND t.entry_time > n.entry_time AND t.entry_time < s.until
           AND t.source = %(source)s AND t.ticker = n.ticker AND (s.one_way OR t.direction = n.direction)
         ORDER BY t.entry_time LIMIT 1)
        UNION ALL
        SELECT b.trade_id, b.source_trade_id
        FROM (SELECT t.* FROM trades t
              WHERE t.bot_id = n.bot_id AND t.entry_time <= n.entry_time
                AND t.source = %(source)s AND t.ticker = n.ticker AND (s.one_way OR t.direction = n.direction)
              ORDER BY t.entry_time DESC, t.exit_time DESC NULLS FIRST LIMIT 1) AS b
        WHERE (b.entry_time < n.entry_time OR s.until > n.entry_time)
          AND coalesce(b.exit_time > n.entry_time OR (s.either AND b.exit_time = n.entry_time), s.since IS NULL OR s.since <= b.entry_time)
    ) AS o
    WHERE n.verdict IN ('insert', 'update', 'replace')
      AND NOT EXISTS (SELECT FROM incoming f WHERE (f.source_trade_id, f.bot_id) = (o.source_trade_id, n.bot_id))
)
UPDATE incoming i SET verdict = 'overlapping_trade', other_trade = o.trade_id
FROM contradicted o
WHERE o.row_number = i.row_number
