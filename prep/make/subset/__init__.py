"""Copies some samples of a shard set into a new set."""
