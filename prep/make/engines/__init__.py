"""Makes shards in worker processes of this machine."""
