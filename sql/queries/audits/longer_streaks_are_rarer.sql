-- Bots that do not have the six lengths, or where a longer run is more frequent than a shorter one.
WITH beside AS (
    SELECT day, bot_id, streak_length, hits, runs,
           lag(hits) OVER bot AS hits_of_shorter, lag(runs) OVER bot AS runs_of_shorter,
           lag(streak_length, 1, 1) OVER bot AS shorter, lead(streak_length, 1, 8) OVER bot AS longer
    FROM win_streaks
    WHERE day BETWEEN %(first)s AND %(last)s
    WINDOW bot AS (PARTITION BY day, bot_id ORDER BY streak_length)
)
SELECT day, bot_id, streak_length, hits, hits_of_shorter, runs, runs_of_shorter
FROM beside
WHERE hits > hits_of_shorter OR runs > runs_of_shorter OR runs > hits
   OR shorter <> streak_length - 1 OR longer <> streak_length + 1
ORDER BY day, bot_id, streak_length
