-- The rows that were refused in the light of the other trades, with the trade or row that stands against each.
SELECT i.row_number, i.verdict AS reason, i.bot_id, i.quote_currency, i.account_currency, i.other_row,
       t.trade_id, t.source, t.source_trade_id, t.import_id, b.name AS other_bot,
       CASE WHEN i.verdict = 'conflicting_trade' THEN (
           SELECT string_agg(mine.key, ', ' ORDER BY array_position(%(columns)s, mine.key))
           FROM jsonb_each(to_jsonb(i)) AS mine JOIN jsonb_each(coalesce(to_jsonb(o), to_jsonb(t))) AS other USING (key)
           WHERE mine.key = ANY(%(columns)s) AND mine.value <> other.value) END AS differing
FROM incoming i
LEFT JOIN incoming o ON o.row_number = i.other_row
LEFT JOIN trades t ON t.trade_id = i.other_trade
LEFT JOIN bots b ON b.bot_id = t.bot_id
WHERE i.verdict NOT IN ('insert', 'update', 'replace', 'unchanged')
ORDER BY i.row_number
