-- Names that can be seen: none of blanks alone, or of nothing.
--
-- By triggers, as constraints would also hold for what was recorded before: an open trade of that time could not be closed any
-- more, nor a backup of it restored. Whatever is there stays and counts.

-- White space of Unicode and characters without a width. Those that steer or turn are no plain name's in any case. As in
-- knowdefeat_pipeline/core/escaping.py; a test compares the two over all of Unicode.
CREATE FUNCTION is_blank(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN name ~ '^[ \u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]*$';

-- Says which name it is. The arguments are the columns that may not be blank.
CREATE FUNCTION refuse_blank_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    SELECT column_name INTO name FROM unnest(TG_ARGV) AS column_name WHERE is_blank(to_jsonb(NEW) ->> column_name) LIMIT 1;
    RAISE EXCEPTION 'the % of a row of % is blank', name, TG_TABLE_NAME
        USING ERRCODE = 'check_violation', COLUMN = name, TABLE = TG_TABLE_NAME,
              HINT = 'Write a name that can be seen, or leave it out where it may be missing.';
END $$;

-- Of a trade all names are looked at as one, and without a function, as in migration 0014.
CREATE TRIGGER trades_visible_names BEFORE INSERT OR UPDATE OF source, source_trade_id, ticker, strategy_id, quote_currency
    ON trades FOR EACH ROW
    WHEN (E'\u0001' || NEW.source || E'\u0001' || NEW.source_trade_id || E'\u0001' || NEW.ticker || E'\u0001'
          || coalesce(NEW.strategy_id, '-') || E'\u0001' || NEW.quote_currency || E'\u0001'
          ~ '\u0001[ \u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]*\u0001')
    EXECUTE FUNCTION refuse_blank_name('source', 'source_trade_id', 'ticker', 'strategy_id', 'quote_currency');
CREATE TRIGGER bots_visible_names BEFORE INSERT OR UPDATE OF strategy_id, quote_currency ON bots FOR EACH ROW
    WHEN (is_blank(NEW.strategy_id) OR is_blank(NEW.quote_currency))
    EXECUTE FUNCTION refuse_blank_name('strategy_id', 'quote_currency');
CREATE TRIGGER price_bars_visible_names BEFORE INSERT ON price_bars FOR EACH ROW
    WHEN (is_blank(NEW.ticker)) EXECUTE FUNCTION refuse_blank_name('ticker');
CREATE TRIGGER order_book_levels_visible_names BEFORE INSERT ON order_book_levels FOR EACH ROW
    WHEN (is_blank(NEW.ticker)) EXECUTE FUNCTION refuse_blank_name('ticker');
CREATE TRIGGER belief_ledger_visible_names BEFORE INSERT ON belief_ledger FOR EACH ROW
    WHEN (is_blank(NEW.source) OR is_blank(NEW.strategy_id))
    EXECUTE FUNCTION refuse_blank_name('source', 'strategy_id');
CREATE TRIGGER backtest_outcomes_visible_names BEFORE INSERT ON backtest_outcomes FOR EACH ROW
    WHEN (is_blank(NEW.strategy_id)) EXECUTE FUNCTION refuse_blank_name('strategy_id');
CREATE TRIGGER fund_settings_visible_names BEFORE INSERT ON fund_settings FOR EACH ROW
    WHEN (is_blank(NEW.quote_currency)) EXECUTE FUNCTION refuse_blank_name('quote_currency');
