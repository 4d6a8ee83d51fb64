-- States the capital of known bots ($1 keys, $2 amounts) of which nobody has; the bots whose other one stays.
WITH told AS (
    SELECT * FROM unnest(%s::integer[], %s::double precision[]) AS told (bot_id, capital)
),
stated AS (
    UPDATE bots AS b SET capital = told.capital FROM told WHERE b.bot_id = told.bot_id AND b.capital IS NULL
)
SELECT b.name, b.capital, told.capital, b.quote_currency  -- noqa: AL08
FROM told JOIN bots AS b USING (bot_id)
WHERE b.capital <> told.capital
ORDER BY b.name
