"""Turns images as people keep them into a shard set: the commands and their parts. Never imports torch."""
