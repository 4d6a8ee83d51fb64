-- Followers of these files were heard of now, with what hinders each; NULL where nothing does.
UPDATE followed_files AS f SET looked_at = clock_timestamp(), trouble = n.trouble
FROM unnest(%(paths)s::text[], %(troubles)s::text[]) AS n (path, trouble)
WHERE f.path = n.path
