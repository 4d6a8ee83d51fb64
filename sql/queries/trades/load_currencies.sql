-- A bot accounts in one currency: that of its account; or, for one that arrives with this transaction, that of the first trade
-- that it recorded; or, for a new one, that of its first row.
WITH arriving AS (
    SELECT DISTINCT ON (bot_id) bot_id, quote_currency
    FROM arriving_bots WHERE recorded_xid = pg_current_xact_id()
    ORDER BY bot_id, arrival
),
accounts AS (
    SELECT DISTINCT ON (bot_id) bot_id, coalesce(b.quote_currency, a.quote_currency, i.quote_currency) AS currency
    FROM incoming i LEFT JOIN bots b USING (bot_id) LEFT JOIN arriving a USING (bot_id)
    ORDER BY bot_id, row_number
)
UPDATE incoming i SET verdict = 'currency_mismatch', account_currency = a.currency
FROM accounts a
WHERE a.bot_id = i.bot_id AND a.currency <> i.quote_currency
