-- A file is followed from now on, or again: what is known of it.
INSERT INTO followed_files (path) VALUES (%(path)s)
ON CONFLICT (path) DO UPDATE SET looked_at = clock_timestamp()
RETURNING device, inode, source
