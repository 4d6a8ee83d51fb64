"""Bars, market regimes, and the forecasts by which trades are scored; all of them look at the past alone.

Means of scores over a bot's trades belong to `metrics`.
"""
