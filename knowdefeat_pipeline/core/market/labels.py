"""What the regimes of a market are called; `regimes` says how they are told apart."""

REGIMES = ("TRENDING", "RANGING", "VOLATILE")
NEUTRAL = "NEUTRAL"
ANY_REGIME = "*"
"""The regimes that hold."""
PROBABILITIES = tuple(f"p_{name.lower()}" for name in REGIMES)
