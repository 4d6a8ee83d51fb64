"""What follows from beliefs for a signal: consensus and position size.

Nothing is learned here, and nothing of a bot's funds is decided.
"""
