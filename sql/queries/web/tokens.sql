-- Every token, without the hashes by which it is known.
SELECT name, scope, made_at, expires_at, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'counts' END AS state
FROM api_tokens
ORDER BY token_id
