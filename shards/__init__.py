"""Shard sets on disk: writes, opens, checks and orders their samples. Imports neither `prep` nor `train`."""
