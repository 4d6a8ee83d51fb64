"""Sets of weights, the ranking that they make, and its history as a panel."""
