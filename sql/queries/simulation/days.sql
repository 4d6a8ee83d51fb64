-- The days on which there may be results of the simulated fleet: from its first one to today.
SELECT least(min(day_of(entry_time)), min(day_of(exit_time))), greatest(day_of(now()), max(day_of(exit_time)))
FROM trades WHERE simulated
