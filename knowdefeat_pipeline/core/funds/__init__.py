"""The division of funds over bots: settings, events, targets, caps, risk rules, and cents that add up.

Who is ranked where belongs to `ranking`; what is written belongs to `store`.
"""
