"""The table of definitions: every figure, its type, unit and meaning. What users read follows from here."""
