"""The division of funds over bots: targets, caps, risk rules, cents that add up."""
