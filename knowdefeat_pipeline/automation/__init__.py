"""What makes assets run: jobs, the Dagster instance, ranged runs; sensors, schedules and the live listener.

No formula and no SQL of results belongs here.
"""
