"""Where shards are made: in worker processes of this machine."""
