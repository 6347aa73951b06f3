"""Measures prep, from a source to a shard set: its rate beside other writers, and the cost of a large set."""
