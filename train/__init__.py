"""From a shard set to a trained model: pipeline, step, loop, checkpoint. Never imports `prep`."""

import os

# OpenMP threads that wait spin by default and take their core from the decoder, from other ranks and from other
# programs; told to sleep, they leave it. The library reads this once, when torch loads it, so it is set before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
