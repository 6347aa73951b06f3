"""From a shard set to batches on the device; usable without the trainer."""
