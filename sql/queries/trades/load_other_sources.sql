-- Corrections that correct nothing here, but would in another source: how many, by source.
SELECT t.source, count(*)
FROM incoming i JOIN trades t ON (t.source_trade_id, t.bot_id) = (i.source_trade_id, i.bot_id)
WHERE i.verdict = 'insert' AND t.source <> %(source)s
GROUP BY t.source
ORDER BY count(*) DESC, t.source
