"""The chain trades → bot_metrics → win_streaks → bot_rankings → variable_weights, and the beliefs beside it.

One thin file per asset: it reads, calls `core`, writes one transaction and describes what it wrote. No formula belongs
here.
"""
