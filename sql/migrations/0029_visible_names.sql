-- Names whose characters can all be seen: with one that cannot (a zero-width space, a soft hyphen) two tickers, bots or
-- strategies look alike and are two.
--
-- By triggers, as in migration 0020: whatever is there stays and counts, can be closed and switched, and a backup of it be
-- restored.

-- The characters of Unicode's category Cf that is_plain_name does not refuse. As in knowdefeat_pipeline/core/escaping.py; a
-- test compares the two over all of Unicode.
CREATE FUNCTION is_visible_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN name !~ '[\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]';

-- Says which name it is. The arguments are the columns of names.
CREATE FUNCTION refuse_invisible_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    SELECT column_name INTO name
    FROM unnest(TG_ARGV) AS column_name WHERE NOT is_visible_name(to_jsonb(NEW) ->> column_name) LIMIT 1;
    RAISE EXCEPTION 'the % of a row of % has a character that cannot be seen', name, TG_TABLE_NAME
        USING ERRCODE = 'check_violation', COLUMN = name, TABLE = TG_TABLE_NAME,
              HINT = 'Write the name without zero-width spaces, joiners and other format characters.';
END $$;

-- Of a trade all names are looked at as one, and without a function, as in migration 0014.
CREATE TRIGGER trades_seen_names BEFORE INSERT OR UPDATE OF source, source_trade_id, ticker, strategy_id, quote_currency
    ON trades FOR EACH ROW
    WHEN (NEW.source || NEW.source_trade_id || NEW.ticker || coalesce(NEW.strategy_id, '') || NEW.quote_currency
          ~ '[\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]')
    EXECUTE FUNCTION refuse_invisible_name('source', 'source_trade_id', 'ticker', 'strategy_id', 'quote_currency');
CREATE TRIGGER bots_seen_names BEFORE INSERT OR UPDATE OF name, strategy_id, quote_currency, account ON bots FOR EACH ROW
    WHEN (NOT (is_visible_name(NEW.name) AND is_visible_name(coalesce(NEW.strategy_id, ''))
               AND is_visible_name(coalesce(NEW.quote_currency, '')) AND is_visible_name(coalesce(NEW.account, ''))))
    EXECUTE FUNCTION refuse_invisible_name('name', 'strategy_id', 'quote_currency', 'account');
CREATE TRIGGER bot_names_seen_names BEFORE INSERT ON bot_names FOR EACH ROW
    WHEN (NOT is_visible_name(NEW.name)) EXECUTE FUNCTION refuse_invisible_name('name');
CREATE TRIGGER price_bars_seen_names BEFORE INSERT ON price_bars FOR EACH ROW
    WHEN (NOT is_visible_name(NEW.ticker)) EXECUTE FUNCTION refuse_invisible_name('ticker');
CREATE TRIGGER order_book_levels_seen_names BEFORE INSERT ON order_book_levels FOR EACH ROW
    WHEN (NOT is_visible_name(NEW.ticker)) EXECUTE FUNCTION refuse_invisible_name('ticker');
CREATE TRIGGER belief_ledger_seen_names BEFORE INSERT ON belief_ledger FOR EACH ROW
    WHEN (NOT (is_visible_name(coalesce(NEW.source, '')) AND is_visible_name(coalesce(NEW.strategy_id, ''))))
    EXECUTE FUNCTION refuse_invisible_name('source', 'strategy_id');
CREATE TRIGGER backtest_outcomes_seen_names BEFORE INSERT ON backtest_outcomes FOR EACH ROW
    WHEN (NOT is_visible_name(NEW.strategy_id)) EXECUTE FUNCTION refuse_invisible_name('strategy_id');
