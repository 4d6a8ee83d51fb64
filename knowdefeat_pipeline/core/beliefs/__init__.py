"""What is believed of strategies, learned from their outcomes one instant after another."""
