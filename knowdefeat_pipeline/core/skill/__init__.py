"""Skill: whether a bot's results are more than luck, judged by its trades, its strategy's and the fleet's."""
