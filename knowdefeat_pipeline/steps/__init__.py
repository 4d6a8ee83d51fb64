"""What a run does to a range of days, as plain functions over a session and a clock: read, compute, write, check.

Assets, the live listener, tests and benchmarks call them. No formula belongs here (`core`), no statement
(`sql/queries`), and nothing of Dagster.
"""
