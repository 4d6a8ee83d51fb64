-- The first and the last computed day whose figures are those of its end.
SELECT min(day), max(day) FROM refreshed_days WHERE asset = 'bot_metrics' AND as_of = day_end(day)
