"""Trains a model from a shard set: pipeline, step, loop and checkpoint. This package never imports `prep`."""
