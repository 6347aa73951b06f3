"""Writes, opens and checks shard sets, and computes the order of their samples. Imports neither `prep` nor `train`."""
