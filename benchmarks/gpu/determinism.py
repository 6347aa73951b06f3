"""Checks whether twenty updates on real batches with `runtime.deterministic` give equal bits when they are repeated."""

from hashlib import sha256

from benchmarks.gpu.lines import LEFT_OUT
from benchmarks.gpu.setting import Rows, Setting, train_on
from headrace.train.run.assemble import build_feed

_SECONDS = 60


def run(setting: Setting) -> Rows:
    """A row with the hashes of the weights after the two repetitions."""
    if not setting.has_time(_SECONDS):
        yield LEFT_OUT, {"updates": "twice the same"}
        return
    hashes = [_trained(setting) for _ in range(2)]
    yield "twice the same", {"weights of one": hashes[0], "of the other": hashes[1], "equal": hashes[0] == hashes[1]}


def _trained(setting: Setting) -> str:
    setup = setting.setup("runtime.deterministic=true")
    place, step = setting.step(setup)
    with build_feed(setup, place, 0) as feed:
        train_on(step, feed, 2 if setting.dry else 20)
    place.accelerator.synchronize()
    weights = sha256()
    for value in step.network.state_dict().values():
        weights.update(value.cpu().contiguous().numpy().tobytes())
    return weights.hexdigest()[:16]
