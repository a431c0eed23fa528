"""Data at scale: shards that are read in parallel, in a seeded order, and codes kept of pictures."""
