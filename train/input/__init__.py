"""Turns a shard set into batches on the device. This package can also be used without the trainer."""
