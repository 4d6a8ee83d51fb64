-- A browser gets its token by a code that the owner of the tables offered, which counts once: who serves the pages can make
-- no token by itself, nor can who computes. Kept is the hash of the code's hash, of no use to whoever reads it.
CREATE TABLE login_codes (
    hash    text PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
    made_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE login_codes IS 'By which code a browser may log in once: that of the address which knowdefeat up printed last.';
COMMENT ON COLUMN login_codes.hash IS 'SHA-256 of the SHA-256 of the code, each in hexadecimal digits.';

-- Whether the code counted, which it does for an hour: it is used up then, and the token recorded.
CREATE FUNCTION log_browser_in(code_hash text, token_name text, token_hash text, lasts interval) RETURNS boolean
LANGUAGE sql SECURITY DEFINER AS $$
    WITH used AS (
        DELETE FROM login_codes WHERE hash = encode(sha256(convert_to(code_hash, 'UTF8')), 'hex') RETURNING hash, made_at
    ), made AS (
        INSERT INTO api_tokens (name, scope, hash, expires_at)
        SELECT token_name, 'admin', token_hash, now() + lasts FROM used WHERE made_at > now() - interval '1 hour'
        RETURNING token_id
    )
    SELECT EXISTS (SELECT FROM made)
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION log_browser_in SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;
