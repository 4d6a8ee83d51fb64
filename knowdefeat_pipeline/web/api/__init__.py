"""The API: routes under /api/v1, whose models follow from the table of definitions. No SQL or formula belongs here."""
