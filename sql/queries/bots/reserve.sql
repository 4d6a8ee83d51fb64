-- Names that no bot has yet, and the keys that the bots will have.
INSERT INTO bot_names (name, bot_id)
SELECT name, coalesce(own_bot_key(name), nextval('bot_keys'))
FROM (SELECT bot_name(asked) AS name, min(place) AS place
      FROM unnest(%s::text[]) WITH ORDINALITY AS w (asked, place) GROUP BY 1) AS wanted
WHERE NOT EXISTS (SELECT FROM bot_names AS k WHERE k.name = wanted.name)
ORDER BY place
ON CONFLICT DO NOTHING
