"""The assets: the chain trades → bot_metrics → win_streaks → bot_rankings → bot_skill → variable_weights, and what
hangs on it.

One thin file per subject: it calls a step and describes what it wrote. No rule, formula or statement belongs here.
"""
