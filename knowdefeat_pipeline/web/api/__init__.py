"""The API: routes under /api/v1, whose models follow from the table of definitions. No SQL and no formula belongs here."""
