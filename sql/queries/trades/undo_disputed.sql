-- The ids whose rows are recorded anew, as held rows (`held_again`) may stand against what the import had recorded: those of
-- one id, of trades that are alike where these are held, and all of a bot whose currency is in question.
CREATE TEMP TABLE disputed ON COMMIT DROP AS
WITH spoken_of AS (
    SELECT trade_id, source, source_trade_id, bot_id, ticker, entry_time FROM leaving
    UNION
    SELECT t.trade_id, t.source, t.source_trade_id, t.bot_id, t.ticker, t.entry_time FROM trade_revisions AS r JOIN trades AS t USING (trade_id)
    WHERE %(import_id)s IN (r.import_id, r.replaced_by)
),
bots_of AS (
    SELECT DISTINCT h.bot_id, h.reason FROM held_again AS h JOIN spoken_of USING (bot_id)
    WHERE h.reason IN ('currency_mismatch', 'duplicate_trade')
),
twins AS (
    SELECT s.source, s.source_trade_id, t.source AS of_source, t.source_trade_id AS of_id
    FROM spoken_of AS s
    JOIN trades AS t ON t.bot_id = s.bot_id AND t.entry_time = s.entry_time AND t.ticker = s.ticker AND t.trade_id <> s.trade_id
    WHERE EXISTS (SELECT FROM imports AS i WHERE i.undone_at IS NULL AND (i.layout ->> 'holds_duplicates')::boolean)
)
SELECT source, source_trade_id FROM spoken_of JOIN held_again USING (source, source_trade_id)
UNION
SELECT h.source, h.source_trade_id FROM held_again AS h JOIN bots_of USING (bot_id, reason)
UNION
SELECT t.source, t.source_trade_id
FROM held_again AS h JOIN bots_of USING (bot_id, reason)
JOIN trades AS t ON t.bot_id = h.bot_id AND t.entry_time = h.entry_time AND t.ticker = h.ticker
WHERE h.reason = 'duplicate_trade'
UNION
SELECT source, source_trade_id FROM twins
UNION
SELECT of_source, of_id FROM twins
UNION
SELECT t.source, t.source_trade_id FROM trades AS t JOIN bots_of AS b USING (bot_id) WHERE b.reason = 'currency_mismatch'
