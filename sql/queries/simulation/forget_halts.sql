-- What the risk rules decided about bots of the simulated fleet since its first trade: it follows from trades, and is found
-- again from those that stay.
DELETE FROM bot_events AS e
USING (SELECT bot_id, min(exit_time) AS since FROM trades WHERE simulated AND status = 'closed' GROUP BY 1) AS fleet
WHERE e.bot_id = fleet.bot_id AND e.kind IN ('halted', 'released') AND e.in_force_from >= fleet.since
