"""From a shard set to a trained model: pipeline, step, loop, checkpoint. Never imports `prep`."""
