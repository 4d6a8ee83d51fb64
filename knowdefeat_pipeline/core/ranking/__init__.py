"""Sets and versions of weights, the ranking that they make, and its history as a panel.

How weights are learned belongs to `learning`.
"""
