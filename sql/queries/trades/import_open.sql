INSERT INTO imports (source, file_name, content_hash, layout, author, replaces)
VALUES (%(source)s, %(file_name)s, %(content_hash)s, %(layout)s, %(author)s, %(replaces)s)
RETURNING import_id
