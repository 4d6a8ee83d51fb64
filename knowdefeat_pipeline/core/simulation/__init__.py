"""Simulated worlds whose truth is known, by which everything else is judged."""
