-- What corrected trades are now; they leave, and come back so (see write_contents).
CREATE TEMP TABLE contents ON COMMIT DROP AS
SELECT i.other_trade AS trade_id, t.source, t.simulated, %(import_id)s::bigint AS import_id,
       arriving_content(to_jsonb(i)) AS content
FROM incoming i JOIN trades t ON t.trade_id = i.other_trade
WHERE i.verdict = 'replace'
