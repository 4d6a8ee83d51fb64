-- Gives the roles exactly what they may do in this database, and takes everything else from them. May be run again.
DO $$
DECLARE
    place      text := quote_ident(current_schema());
    base       text := quote_ident(current_database());
    entered    text[] := ARRAY['source', 'source_trade_id', 'bot_id', 'bot_name', 'strategy_id', 'ticker', 'direction',
                               'status', 'entry_time', 'exit_time', 'entry_price', 'exit_price', 'mark_price', 'notional', 'fees',
                               'reported_pnl', 'quote_currency', 'signal_confidence', 'entry_quality', 'exit_reason',
                               'entry_trigger_price', 'entry_trigger_time', 'exit_trigger_price', 'exit_trigger_time',
                               'quantity', 'contract_multiplier', 'contract_type', 'funding', 'entry_fee', 'exit_fee',
                               'fee_currency', 'leverage', 'margin', 'exits', 'pnl_basis'];
    closing    text[] := ARRAY['status', 'exit_time', 'exit_price', 'mark_price', 'fees', 'reported_pnl', 'exit_reason',
                               'exit_trigger_price', 'exit_trigger_time', 'funding', 'exit_fee', 'exits'];
    -- What people and programs enter by way of the pages and the API; all of it is only ever added to.
    added      text[] := ARRAY['trade_quarantine', 'weight_versions', 'weight_settings', 'fund_settings', 'bot_events',
                               'belief_ledger', 'backtest_outcomes', 'price_bars', 'order_book_levels'];
    grouped    text := 'knowdefeat_pipeline, knowdefeat_web, knowdefeat_bot, knowdefeat_reader';
    possessor  oid := (SELECT relowner FROM pg_class WHERE oid = 'trades'::regclass);
    -- The schema may hold what others made.
    tables     text := (SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
                        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v')
                          AND relowner = possessor);
    item       text;
BEGIN
    EXECUTE format('REVOKE ALL ON %s FROM %s', tables, grouped);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA report FROM %s', grouped);
    EXECUTE format('REVOKE ALL ON SCHEMA %s, report FROM %s', place, grouped);
    EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC', place);
    EXECUTE format('GRANT CONNECT ON DATABASE %s TO %s', base, grouped);
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO knowdefeat_pipeline, knowdefeat_web, knowdefeat_bot', place);
    GRANT USAGE ON SCHEMA report TO knowdefeat_pipeline, knowdefeat_web, knowdefeat_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA report TO knowdefeat_pipeline, knowdefeat_web, knowdefeat_reader;

    -- The pipeline: every row, no definition.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %s TO knowdefeat_pipeline', base);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO knowdefeat_pipeline', tables);
    FOR item IN
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname LIKE 'staged\_%' AND relkind = 'r' AND relowner = possessor
    LOOP
        EXECUTE format('GRANT TRUNCATE ON %s TO knowdefeat_pipeline', item);
    END LOOP;
    IF current_setting('server_version_num')::integer >= 170000 THEN  -- VACUUM and ANALYZE; before, only an owner may
        EXECUTE format('GRANT MAINTAIN ON %s TO knowdefeat_pipeline',
                       (SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
                        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relowner = possessor));
    END IF;
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %1$s.bot_writers, %1$s.knowdefeat_version, '
                   '%1$s.knowdefeat_migrations, %1$s.cluster_identity, %1$s.api_tokens, %1$s.login_codes '
                   'FROM knowdefeat_pipeline', place);

    -- The pages and the API: they read everything, and enter what people decide and what is uploaded.
    EXECUTE format('GRANT SELECT ON %s TO knowdefeat_web', tables);
    FOREACH item IN ARRAY added LOOP
        EXECUTE format('GRANT INSERT ON %s.%I TO knowdefeat_web', place, item);
    END LOOP;
    EXECUTE format('GRANT UPDATE (status, note, settled_at) ON %s.trade_quarantine TO knowdefeat_web', place);
    EXECUTE format('GRANT UPDATE (is_active, name, strategy_id, capital) ON %s.bots TO knowdefeat_web', place);

    -- Bots: their trades. Which rows those are, the policy of the table says.
    EXECUTE format('GRANT SELECT ON %s.trades TO knowdefeat_bot', place);
    EXECUTE (
        SELECT format('GRANT INSERT (%s), UPDATE (%s) ON %s.trades TO knowdefeat_bot, knowdefeat_web',
                      string_agg(quote_ident(attname), ', ') FILTER (WHERE attname = ANY(entered)),
                      string_agg(quote_ident(attname), ', ') FILTER (WHERE attname = ANY(closing)), place)
        FROM pg_attribute WHERE attrelid = format('%s.trades', place)::regclass AND attnum > 0 AND NOT attisdropped);

    -- Functions of no table's rows, and those that the policy, a trigger's condition and a constraint ask, are anybody's; all
    -- others, for those who compute.
    FOR item IN
        SELECT p.oid::regprocedure::text FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.provolatile <> 'i'
          AND p.proname NOT IN ('own_bots', 'follows_its_bot', 'refuse_trade') AND p.proowner = possessor
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, %s', item, grouped);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO knowdefeat_pipeline, knowdefeat_web', item);
    END LOOP;
END $$;
