-- The trades that the rows of an import in `incoming` are, and that another import or their bot recorded: when that import is
-- undone, they are this one's.
UPDATE imports
SET repeats = repeats + coalesce((
    SELECT range_agg(int8range(other_trade, other_trade, '[]')) FROM incoming
    JOIN trades t ON t.trade_id = other_trade
    WHERE is_repeat AND t.import_id IS DISTINCT FROM %(import_id)s), '{}')
WHERE import_id = %(import_id)s
