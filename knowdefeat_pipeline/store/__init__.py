"""PostgreSQL: the server, connections, migrations, bulk reads and writes. The SQL itself stands in `sql/`.

Formulas belong in `core`, foreign formats in `sources`; nothing here knows Dagster.
"""
