"""Simulated worlds whose truth is known, by which everything else is judged.

No other subject of core rests on it.
"""
