"""The chain trades → bot_metrics → win_streaks → bot_rankings → variable_weights, one thin file per asset.

An asset reads, calls `core`, writes one transaction and describes what it wrote. No formula belongs here.
"""
