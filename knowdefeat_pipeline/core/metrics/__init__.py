"""The figures of bots: performance, risk, streaks, lifetimes, over windows of trades."""
