"""The figures of bots: performance, risk, streaks, lifetimes, over windows of trades, one public function a figure.

Normalising them across bots belongs to `ranking`.
"""
