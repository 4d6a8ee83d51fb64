"""Trades as columns, the series that they form, and reductions over them. No figure of a bot belongs here."""
