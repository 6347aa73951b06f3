"""From a source to the files of a shard set, shard by shard."""
