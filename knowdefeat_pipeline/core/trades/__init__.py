"""Closed trades as columns in the order of the house, how fills become them, the series that they form, and reductions
over windows.

No figure of a bot belongs here (`metrics`).
"""
