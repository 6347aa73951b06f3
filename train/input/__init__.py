"""The input: turns a shard set into batches on the device. Usable without the trainer."""
