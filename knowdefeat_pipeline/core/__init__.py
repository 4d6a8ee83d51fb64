"""The mathematics of bots and trades: arrays and frames in, frames out.

No Dagster, no SQL, no files and no clock belong here; time enters as an argument.
"""
