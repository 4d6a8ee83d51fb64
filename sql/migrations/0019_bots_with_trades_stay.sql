-- A bot that has trades stays: without its row they would belong to nobody whom a person could name, fund or switch off.

-- Those that were deleted by hand come back switched off, so that none receives funds. (One whose currency is no plain name
-- cannot; `knowdefeat doctor` names it.)
SELECT set_config('knowdefeat.author', 'upgrade', true),
       set_config('knowdefeat.reason', 'its row had been deleted by hand, while its trades stayed', true);
CREATE TEMP TABLE returning_bots ON COMMIT DROP AS
SELECT DISTINCT ON (t.bot_id) t.bot_id, CASE WHEN is_plain_name(t.strategy_id) THEN t.strategy_id END AS strategy_id,
       t.quote_currency
FROM trades AS t
WHERE NOT EXISTS (SELECT FROM bots AS b WHERE b.bot_id = t.bot_id) AND is_plain_name(t.quote_currency)
ORDER BY t.bot_id, t.trade_id;
INSERT INTO bots (bot_id, strategy_id, quote_currency, is_active)
    SELECT bot_id, strategy_id, quote_currency, false FROM returning_bots;
SELECT note_change(input, (SELECT min(exit_time) FROM closed_trades JOIN returning_bots USING (bot_id)))
FROM unnest(ARRAY['capital', 'strategies']) AS input;
SELECT set_config('knowdefeat.author', '', true), set_config('knowdefeat.reason', '', true);

-- Only bots without trades go from here on, and nothing rests on those.
DROP TRIGGER bots_deleted ON bots;
DROP FUNCTION bots_deleted();
CREATE FUNCTION bots_with_trades_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A trade that is on its way to the bot is waited for.
    LOCK TABLE trades IN SHARE ROW EXCLUSIVE MODE;
    IF TG_OP = 'TRUNCATE' THEN
        IF EXISTS (SELECT FROM trades) THEN
            RAISE EXCEPTION 'there are trades, so their bots stay' USING ERRCODE = 'foreign_key_violation',
                HINT = 'Bots are switched off by: knowdefeat bots deactivate BOT --reason TEXT';
        END IF;
    ELSIF EXISTS (SELECT FROM trades WHERE bot_id = OLD.bot_id) THEN
        RAISE EXCEPTION 'bot % has trades, so it stays, under its number', OLD.bot_id
            USING ERRCODE = 'foreign_key_violation',
                HINT = format('Switch it off instead: knowdefeat bots deactivate %s --reason TEXT', OLD.bot_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bots_with_trades_stay AFTER DELETE ON bots FOR EACH ROW EXECUTE FUNCTION bots_with_trades_stay();
CREATE TRIGGER bots_with_trades_keep_their_number AFTER UPDATE OF bot_id ON bots FOR EACH ROW
    WHEN (OLD.bot_id <> NEW.bot_id) EXECUTE FUNCTION bots_with_trades_stay();
-- After, so that trades and bots may be emptied together.
CREATE TRIGGER bots_with_trades_truncated AFTER TRUNCATE ON bots FOR EACH STATEMENT
    EXECUTE FUNCTION bots_with_trades_stay();

-- In the owner's name, as the triggers of migration 0016.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION bots_with_trades_stay() SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp',
                   current_schema());
END $$;
