"""Writes, opens and checks shard sets, and computes the order of their samples.

This package imports neither `prep` nor `train`.
"""
