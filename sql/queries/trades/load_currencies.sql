-- A bot accounts in one currency: that of its account; or, for one that arrives with this transaction, that of the first trade
-- that it recorded; or, for a new one, that of its first row. Of the few currencies that each bot has in the file, not of every
-- row: most files are in one.
WITH given AS (
    SELECT bot_id, quote_currency AS currency, min(row_number) AS first_row FROM incoming GROUP BY 1, 2
),
arriving AS (
    SELECT DISTINCT ON (bot_id) bot_id, quote_currency
    FROM arriving_bots WHERE recorded_xid = pg_current_xact_id()
    ORDER BY bot_id, arrival
),
accounts AS (
    SELECT DISTINCT ON (bot_id) bot_id, coalesce(b.quote_currency, a.quote_currency, g.currency) AS currency
    FROM given g LEFT JOIN bots b USING (bot_id) LEFT JOIN arriving a USING (bot_id)
    ORDER BY bot_id, first_row
),
others AS (
    SELECT g.bot_id, g.currency AS given, a.currency FROM given g JOIN accounts a USING (bot_id)
    WHERE g.currency <> a.currency
)
UPDATE incoming i SET verdict = 'currency_mismatch', account_currency = o.currency
FROM others o
WHERE (i.bot_id, i.quote_currency) = (o.bot_id, o.given)
