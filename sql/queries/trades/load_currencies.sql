-- A bot accounts in one currency: that of its account or, for a new bot, that of its first row.
WITH accounts AS (
    SELECT DISTINCT ON (bot_id) i.bot_id, coalesce(b.quote_currency, i.quote_currency) AS currency
    FROM incoming i LEFT JOIN bots b USING (bot_id)
    ORDER BY bot_id, row_number
)
UPDATE incoming i SET verdict = 'currency_mismatch', account_currency = a.currency
FROM accounts a
WHERE a.bot_id = i.bot_id AND a.currency <> i.quote_currency
