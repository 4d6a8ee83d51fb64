-- Whoever sends trades one by one makes many imports: the same content is known again without reading all of them, and held
-- rows are found without reading those that are settled.
CREATE INDEX imports_content ON imports (content_hash) WHERE undone_at IS NULL;
CREATE INDEX trade_quarantine_held ON trade_quarantine (quarantine_id) WHERE status = 'held';
