"""From a source to a shard set: how fast beside other writers, and what a large set costs."""
