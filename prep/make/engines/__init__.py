"""Makes shards: in worker processes of this machine, or as tasks of Ray."""
