"""From images as people keep them to a shard set. Never imports torch."""
