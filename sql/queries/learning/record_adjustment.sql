-- A day is adjusted once: what is published stays, and an attempt that comes too late does not hide an earlier one.
INSERT INTO weight_adjustments AS known (day, as_of, outcome, reason, evidence, version)
VALUES (%(day)s, %(as_of)s, %(outcome)s, %(reason)s, %(evidence)s, %(version)s)
ON CONFLICT (day) DO UPDATE
SET (as_of, outcome, reason, evidence, version, created_at) =
    (excluded.as_of, excluded.outcome, excluded.reason, excluded.evidence, excluded.version, clock_timestamp())
WHERE known.outcome <> 'published' AND excluded.outcome <> 'refused'
