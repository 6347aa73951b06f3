"""From a shard set to batches: how fast beside others, and how far the pixels are from theirs."""
