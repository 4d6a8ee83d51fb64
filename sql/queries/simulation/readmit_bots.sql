-- Bots of the simulated fleet that have trades of their own: what the fleet called their strategy goes with it, and they are
-- named as by their first own trade.
UPDATE bots AS b
SET strategy_id = own.strategy_id
FROM (SELECT DISTINCT bot_id, strategy_id FROM trades WHERE simulated) AS fleet
CROSS JOIN LATERAL (
    SELECT t.strategy_id FROM trades AS t WHERE t.bot_id = fleet.bot_id AND NOT t.simulated ORDER BY t.trade_id LIMIT 1
) AS own
WHERE b.bot_id = fleet.bot_id AND b.strategy_id = fleet.strategy_id AND b.strategy_id IS DISTINCT FROM own.strategy_id
