"""Foreign files in, canonical trades out: readers, validation, and the reasons for which rows are refused.

No SQL and no Dagster belong here; what happens to the rows afterwards is the business of `store`.
"""
