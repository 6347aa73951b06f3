"""Measures the input, from a shard set to batches: its rate beside other loaders, its pixels beside torchvision's."""
