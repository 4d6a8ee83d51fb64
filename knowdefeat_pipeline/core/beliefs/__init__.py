"""What is believed of strategies, learned from their outcomes one instant after another, and how they are weighed by it.

Reading outcomes and keeping states belong to `store`; what follows for a signal belongs to `decisions`.
"""
