-- The fleet on a day, by currency, that of most bots first.
SELECT * FROM fleet_totals WHERE day = %(day)s ORDER BY bots DESC, quote_currency
