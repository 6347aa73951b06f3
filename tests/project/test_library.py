"""The public names, called from a plain script that has loaded every module first."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import importlib, logging, pkgutil, sys
import headrace

for module in pkgutil.walk_packages(headrace.__path__, "headrace."):
    if module.name not in ("headrace.tests", "headrace.benchmarks") and not module.name.endswith("__main__"):
        if module.name.split(".")[1] in ("cli", "commands", "prep", "shards", "train"):
            importlib.import_module(module.name)

print("begun")  # once: workers of prep do not run this script
source = sys.argv[1]
shards = headrace.make_shards(source, "set", workers=2, samples_per_shard=100, seed=4)
headrace.verify_shards("set", deep=True)
assert isinstance(shards, headrace.ShardSet)
assert shards["val"][0].array().ndim == 3

with headrace.Loader(shards, batch=8, size=32, device="cpu", threads=1) as loader:
    images, targets = next(iter(loader))
    assert images.shape == (8, 3, 32, 32)

recipe = headrace.load_recipe("demo")
assert isinstance(recipe, headrace.Recipe)
settings = ["train.epochs=1", "train.global_batch=64", "augment.size=32", "evaluate.size=32", "runtime.device=cpu"]
run = headrace.fit("set", "demo", out="run", settings=[*settings, "runtime.verdict=false"])
assert (run / "best.pt").exists()
assert headrace.fit("set", out="run", resume="last") == run
model = headrace.load_model("run", device="cpu")
(answer,) = model.predict([shards["val"][0].array()])
assert len(answer.labels) == len(answer.probabilities) == 5

for wrong, kind in (
    (lambda: headrace.make_shards(source, "set", nonsense=1), headrace.UsageError),
    (lambda: headrace.make_shards("nowhere", "other"), headrace.HeadraceError),
    (lambda: headrace.fit("set", "nope", out="other"), headrace.UsageError),
    (lambda: headrace.Loader("nowhere", batch=8), headrace.HeadraceError),
):
    try:
        wrong()
    except kind as error:
        assert str(error)
    else:
        raise SystemExit("no error")

with open("set/train-000000.tar", "r+b") as tar:
    tar.seek(600)
    tar.write(b"damage")
try:
    headrace.verify_shards("set")
except headrace.DataError as error:
    print("damage found:", "train-000000.tar" in str(error))
print(headrace.__version__)
"""


def test_public_names_do_what_they_say(tiny_zip: Path, tmp_path: Path) -> None:
    """Prep with several workers, verify, load, train, resume and the errors; beside a user's own train.py and prep/."""
    (tmp_path / "train.py").write_text(SCRIPT, "utf-8")
    (tmp_path / "prep").mkdir()
    (tmp_path / "prep" / "__init__.py").write_text("raise ImportError('not ours')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "train.py", str(tiny_zip)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("begun") == 1
    assert "damage found: True" in done.stdout
