"""What is believed of strategies, learned from their outcomes one instant after another, and how that weighs them.

Reading outcomes and keeping states belong to `store`; what follows for a signal belongs to `decisions`.
"""
