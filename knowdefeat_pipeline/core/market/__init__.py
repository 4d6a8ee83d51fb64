"""Bars, market regimes and the forecasts by which trades are scored; all of them look at the past alone."""
