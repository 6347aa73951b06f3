"""From images as people keep them to a shard set: the commands, and what they are made of. Never imports torch."""
