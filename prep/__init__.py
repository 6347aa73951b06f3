"""Converts images in any layout into a shard set: the commands, and the modules they use. Never imports torch."""
