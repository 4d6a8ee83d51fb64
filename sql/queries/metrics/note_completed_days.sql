-- Of the days %(days)s, computed to their end by this transaction, those that were not before: slow results of later days
-- that are computed already lack them. Call it before the days are marked.
SELECT note_change('results', day_end(min(d.day)))
FROM unnest(%(days)s::date[]) AS d (day)
WHERE NOT EXISTS (SELECT FROM refreshed_days AS r
                  WHERE r.asset = 'bot_metrics' AND r.day = d.day AND r.as_of = day_end(r.day))
HAVING EXISTS (SELECT FROM refreshed_days AS r WHERE r.asset = 'bot_metrics' AND r.day > max(d.day))
   AND count(*) > 0
