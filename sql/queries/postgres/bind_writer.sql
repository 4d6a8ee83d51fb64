-- Binds the role %(role)s to the bots of these names (null: to any). Names that no bot has yet get their keys by that.
WITH wanted AS (
    SELECT bot_name(asked) AS name, min(place) AS place
    FROM unnest(%(bots)s::text[]) WITH ORDINALITY AS w (asked, place)
    GROUP BY 1
    ORDER BY 2
),
fresh AS (
    INSERT INTO bot_names (name, bot_id)
    SELECT name, coalesce(own_bot_key(name), nextval('bot_keys')) FROM wanted
    WHERE NOT EXISTS (SELECT FROM bot_names AS k WHERE k.name = wanted.name)
    RETURNING name, bot_id
)
INSERT INTO bot_writers (role_name, bot_id)
SELECT %(role)s, NULL WHERE %(bots)s::text[] IS NULL
UNION ALL
SELECT %(role)s, bot_id FROM (SELECT bot_id FROM bot_names JOIN wanted USING (name) UNION SELECT bot_id FROM fresh) AS bound
ORDER BY 2
