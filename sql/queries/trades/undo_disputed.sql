-- More ids whose rows are recorded anew (`disputed`), as one row of them may stand against another; asked until there are no
-- more. About the rows that the import spoke of and those of the ids so far, as they are, as they were and as they are held:
-- the ids that held rows (`held_again`) have too; all of a bot of which rows or the account name several currencies; and what
-- is alike where such rows are held.
INSERT INTO disputed
WITH told AS (
    SELECT trade_id FROM leaving
    UNION
    SELECT trade_id FROM trade_revisions WHERE %(import_id)s IN (import_id, replaced_by)
    UNION
    SELECT t.trade_id FROM trades AS t JOIN disputed USING (source, source_trade_id)
),
about AS (
    SELECT t.source, t.source_trade_id, t.bot_id::text AS bot, t.bot_id, t.ticker, t.entry_time FROM trades AS t JOIN told USING (trade_id)
    UNION
    SELECT t.source, t.source_trade_id, t.bot_id::text, t.bot_id, r.content ->> 'ticker', (r.content ->> 'entry_time')::timestamptz
    FROM trade_revisions AS r JOIN told USING (trade_id) JOIN trades AS t USING (trade_id)
    UNION
    SELECT source, source_trade_id, bot, bot_id, ticker, entry_time FROM held_again JOIN disputed USING (source, source_trade_id)
),
bots_of AS (
    SELECT DISTINCT bot, bot_id FROM about
),
in_question AS (
    SELECT bot, bot_id FROM (
        SELECT o.bot, o.bot_id, h.quote_currency FROM bots_of AS o JOIN held_again AS h USING (bot)
        UNION
        SELECT o.bot, o.bot_id, b.quote_currency FROM bots_of AS o JOIN bots AS b USING (bot_id)
    ) AS named
    GROUP BY bot, bot_id HAVING count(*) > 1
),
repeats AS (
    SELECT h.* FROM held_again AS h JOIN bots_of USING (bot) WHERE h.reason = 'duplicate_trade'
),
twins AS (
    SELECT a.source, a.source_trade_id, t.source AS of_source, t.source_trade_id AS of_id
    FROM about AS a
    JOIN trades AS t ON t.bot_id = a.bot_id AND t.entry_time = a.entry_time AND t.ticker = a.ticker
        AND (t.source, t.source_trade_id) <> (a.source, a.source_trade_id)
    WHERE EXISTS (SELECT FROM imports AS i WHERE i.undone_at IS NULL AND (i.layout ->> 'holds_duplicates')::boolean)
)
SELECT source, source_trade_id FROM about JOIN held_again USING (source, source_trade_id)
UNION
SELECT h.source, h.source_trade_id FROM held_again AS h JOIN in_question USING (bot)
UNION
SELECT t.source, t.source_trade_id FROM trades AS t JOIN in_question USING (bot_id)
UNION
SELECT source, source_trade_id FROM repeats
UNION
SELECT t.source, t.source_trade_id
FROM repeats AS r JOIN trades AS t ON t.bot_id = r.bot_id AND t.entry_time = r.entry_time AND t.ticker = r.ticker
UNION
SELECT source, source_trade_id FROM twins
UNION
SELECT of_source, of_id FROM twins
ON CONFLICT DO NOTHING
