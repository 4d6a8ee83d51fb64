"""KnowDefeat Pipeline: which trading bots are good, which were lucky, and where the money should go next."""
