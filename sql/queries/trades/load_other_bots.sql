-- Corrections whose id names another bot's trade in this source, and none of their own bot: whether that trade's bot is
-- corrected or another trade has come, nobody can tell. Where the file has that trade too, ids are each bot's own.
UPDATE incoming i SET verdict = 'another_bot', other_trade = t.trade_id
FROM trades t
WHERE i.verdict = 'insert'
  AND t.source = %(source)s AND t.source_trade_id = i.source_trade_id AND t.bot_id <> i.bot_id
  AND NOT EXISTS (SELECT FROM trades o
                  WHERE (o.source, o.source_trade_id, o.bot_id) = (%(source)s, i.source_trade_id, i.bot_id))
  AND NOT EXISTS (SELECT FROM incoming o WHERE (o.source_trade_id, o.bot_id) = (t.source_trade_id, t.bot_id))
