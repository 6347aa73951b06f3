"""Shard sets on disk: write, open, check and order their samples. Imports neither `prep` nor `train`."""
