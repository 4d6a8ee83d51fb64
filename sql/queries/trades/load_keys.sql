-- Rows whose id the bot has recorded already, or that appears more than once in the file. Of the states of one trade the
-- furthest leads; earlier states of it change nothing. The first state seen (recorded, else the lowest row) says which trade
-- the id names: a row about another trade, and a closed row that differs from a closed one, is in conflict. What a position
-- was entered at and how large it is may change while it is open, as whoever adds to it moves the average.
WITH contested AS (
    SELECT bot_id, source_trade_id FROM incoming WHERE verdict = 'insert'
    GROUP BY bot_id, source_trade_id HAVING count(*) > 1
    UNION
    SELECT bot_id, source_trade_id FROM incoming i JOIN trades t USING (bot_id, source_trade_id)
    WHERE t.source = %(source)s AND i.verdict = 'insert'
),
states AS (
    SELECT i.bot_id, i.source_trade_id, i.row_number, NULL::bigint AS trade_id, i.status,
           ROW(i.ticker, i.direction, i.entry_time) AS entered,
           arriving_content(to_jsonb(i)) AS content
    FROM incoming i JOIN contested USING (bot_id, source_trade_id)
    WHERE i.verdict = 'insert'
    UNION ALL
    SELECT t.bot_id, t.source_trade_id, 0, t.trade_id, t.status,
           ROW(t.ticker, t.direction, t.entry_time), trade_content(t)
    FROM trades t JOIN contested USING (bot_id, source_trade_id)
    WHERE t.source = %(source)s
),
placed AS (
    SELECT *, array_position(ARRAY['open', 'pending_exit', 'closed'], status) AS progress,
           first_value(row_number) OVER seen AS first_row, first_value(trade_id) OVER seen AS recorded,
           first_value(content) OVER seen AS first_content, entered <> first_value(entered) OVER seen AS another
    FROM states
    WINDOW seen AS (PARTITION BY bot_id, source_trade_id ORDER BY row_number)
),
led AS (
    SELECT *, first_value(row_number) OVER furthest AS leader, first_value(content) OVER furthest AS leading_content
    FROM placed
    -- Of several closed states the first one holds, of several open ones the last.
    WINDOW furthest AS (PARTITION BY bot_id, source_trade_id
        ORDER BY another, progress DESC, CASE WHEN progress = 3 THEN row_number ELSE -row_number END)
),
judged AS (
    SELECT row_number, recorded, CASE WHEN another THEN first_row ELSE leader END AS other_row,
           recorded IS NOT NULL AND content = first_content AS is_repeat,
           CASE WHEN another THEN 'conflicting_trade'
                WHEN row_number = leader AND recorded IS NULL THEN 'insert'
                WHEN row_number = leader AND content <> first_content THEN 'update'
                WHEN row_number <> leader AND progress = 3 AND content <> leading_content THEN 'conflicting_trade'
                ELSE 'unchanged' END AS verdict
    FROM led
    WHERE row_number > 0
)
UPDATE incoming i
SET verdict = j.verdict, other_row = nullif(j.other_row, 0), other_trade = j.recorded, is_repeat = j.is_repeat
FROM judged j
WHERE j.row_number = i.row_number AND j.verdict <> 'insert'
