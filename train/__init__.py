"""From a shard set to a trained model: pipeline, step, loop, checkpoint. Never imports `prep`."""

import os

# OpenMP threads wait for one another hundreds of times a step. Asleep they need tens of microseconds to wake up, as
# much as a small operator takes; by default they spin for milliseconds, which others on the same cores pay for. So they
# spin for about as long as waking up takes (docs/decisions/0016). libgomp reads this once, when torch loads it.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "2000"
