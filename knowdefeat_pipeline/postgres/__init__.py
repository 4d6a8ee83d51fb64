"""The PostgreSQL server, connections, migrations, backups and upkeep. What the tables mean belongs in `store`."""
