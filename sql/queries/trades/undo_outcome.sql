-- What became of the trades of the import that was undone, and whose those are that stay as they were.
SELECT CASE WHEN heir IS NULL THEN 'removed' ELSE 'kept' END AS outcome, heir, count(*)
FROM leaving WHERE trade_id NOT IN (SELECT trade_id FROM replayed)
GROUP BY heir
UNION ALL
SELECT CASE WHEN t.trade_id IS NULL THEN 'removed'
            WHEN trade_content(t) = p.content AND t.import_id IS NOT NULL THEN 'kept'
            WHEN EXISTS (SELECT FROM statements AS s WHERE s.trade_id = t.trade_id AND s.content = trade_content(t)) THEN 'restored'
            ELSE 'removed' END,
       t.import_id, count(*)
FROM replayed AS p LEFT JOIN trades AS t USING (trade_id)
WHERE p.import_id = %(import_id)s
GROUP BY 1, 2
