INSERT INTO imports (source, file_name, content_hash, layout, author)
VALUES (%(source)s, %(file_name)s, %(content_hash)s, %(layout)s, %(author)s)
RETURNING import_id
