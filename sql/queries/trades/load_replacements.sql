-- Where rows of known ids are corrections: of the rows of one id the furthest state counts (of several closed ones the first),
-- whatever was recorded before. Ids of which a row repeats what is recorded are left to the closer look (load_keys).
WITH known AS (
    SELECT i.row_number, t.trade_id, t.status AS recorded_status, i.status,
           array_position(ARRAY['open', 'pending_exit', 'closed'], i.status) AS progress,
           array_position(ARRAY['open', 'pending_exit', 'closed'], t.status) AS recorded_progress,
           ROW(i.ticker, i.direction, i.entry_time) <> ROW(t.ticker, t.direction, t.entry_time) AS another,
           arriving_content(to_jsonb(i)) AS content,
           trade_content(t) AS recorded
    FROM incoming i
    JOIN trades t ON t.source = %(source)s AND (t.source_trade_id, t.bot_id) = (i.source_trade_id, i.bot_id)
    WHERE i.verdict = 'insert'
      AND NOT EXISTS (SELECT FROM incoming o WHERE o.other_trade = t.trade_id AND o.verdict = 'unchanged')
),
led AS (
    SELECT *, first_value(row_number) OVER furthest AS leader, first_value(content) OVER furthest AS leading_content
    FROM known
    WINDOW furthest AS (PARTITION BY trade_id
        ORDER BY progress DESC, CASE WHEN progress = 3 THEN row_number ELSE -row_number END)
),
judged AS (
    SELECT row_number, trade_id, nullif(leader, row_number) AS other_row, content = recorded AS is_repeat,
           CASE WHEN row_number <> leader AND progress = 3 AND content <> leading_content THEN 'conflicting_trade'
                WHEN row_number <> leader OR content = recorded THEN 'unchanged'
                WHEN NOT another AND recorded_status <> 'closed' AND progress >= recorded_progress THEN 'update'
                ELSE 'replace' END AS verdict
    FROM led
)
UPDATE incoming i SET verdict = j.verdict, other_row = j.other_row, other_trade = j.trade_id, is_repeat = j.is_repeat
FROM judged j
WHERE j.row_number = i.row_number
