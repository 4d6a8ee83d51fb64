"""Work that is cut into shards of bots: the plan, where it is carried out, and where shards leave what they computed.

It knows no figure. What a shard computes the steps say; what it costs stands in `costs`, as it was measured.
"""
