"""Makes the files of a shard set from a source, shard by shard."""
