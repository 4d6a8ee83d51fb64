-- What is needed to record the rows of an import again once another one is undone: whether they were corrections, and what
-- they stated of their bots.
ALTER TABLE imports
    ADD COLUMN replaces boolean NOT NULL DEFAULT false,
    ADD COLUMN capital jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN imports.replaces IS 'Whether rows of known ids took the place of what was recorded.';
COMMENT ON COLUMN imports.capital IS 'What it stated that its bots have to trade with, by their names.';
-- Corrections that replaced nothing were no others.
UPDATE imports SET replaces = true WHERE replaced > 0;
