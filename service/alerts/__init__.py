"""Who hears of what, how often, in which words; and how it leaves.

`policy` decides (pure), `texts` words it, the outbox keeps it, `sender` delivers it.
"""
