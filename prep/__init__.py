"""The commands that make and examine shard sets, and the modules that these commands use. Never imports torch."""
