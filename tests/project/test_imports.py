import ast
import subprocess
import sys

import pytest

from tests.checkout import ROOT
from tests.project.floors import all_rooms, climbs
from tests.project.graph import circles, imports_of_modules, longest_chain
from tests.project.rules import HOMES, away_from_home, strays
from tests.project.sources import Source, dotted, kept, product, read

LONGEST_CHAIN = 11
"""Modules of train in a row, each of which imports the next. Two are there on purpose: `run/library.py`, so that
`headrace.fit` has a page of its own, and `input/assembly.py`, so that one place builds the input."""


def test_every_room_has_its_floor() -> None:
    """A new folder needs a place in the order, and a room that is gone takes its place with it."""
    assert sorted(all_rooms()) == sorted({source.room for source in product() if not_empty(source)})


def not_empty(source: Source) -> bool:
    """Folders that only hold other folders, or files that are no modules, are no rooms."""
    return not source.path.endswith("/__init__.py")


def test_rooms_are_walked_one_way() -> None:
    """Imports lead down: from the commands to prep and train, there from floor to floor, and from all to shards."""
    assert [finding for source in product() for finding in climbs(source)] == []


def test_modules_do_not_import_in_circles() -> None:
    """No module needs itself, over whichever others."""
    assert circles(imports_of_modules()) == []


def test_no_chain_of_imports_is_long() -> None:
    """What a reader has to know of before a module makes sense stays within bounds."""
    graph = imports_of_modules()
    of_train = {name for name in graph if name.startswith("train/")}
    chain = longest_chain({name: graph[name] & of_train for name in of_train})
    assert len(chain) <= LONGEST_CHAIN, " > ".join(chain)


def test_torch_is_known_to_train_alone() -> None:
    """And every import is one that these rules can follow."""
    assert [finding for source in product() for finding in strays(source)] == []


def test_packages_import_nothing() -> None:
    """The `__init__` of a room is its sentence; only the facade, at the root, leads on."""
    rooms = [source for source in product() if source.path.endswith("/__init__.py")]
    assert [source.path for source in rooms if source.imports() or not ast.get_docstring(source.tree)] == []


def test_each_thing_has_one_home() -> None:
    """DALI, torch.distributed, the device, click, publishing, codecs and draws are each known to one file."""
    assert [finding for source in product() for finding in away_from_home(source)] == []


def test_each_home_exists() -> None:
    """A home that was renamed takes its rule with it."""
    assert [home.where for home in HOMES if not (ROOT / home.where).is_file()] == []


@pytest.mark.parametrize("room", ["prep", "shards"])
def test_room_loads_without_torch(room: str) -> None:
    """Importing every module of the room loads neither torch nor DALI, also not through another package."""
    paths = [source.path for source in product() if source.path.startswith(f"{room}/")]
    names = ["headrace." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]
    program = (
        f"import importlib, sys\n[importlib.import_module(name) for name in {names}]\n"
        "print([name for name in ('torch', 'nvidia.dali', 'headrace.train') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shards/tar.py", "import headrace.prep.make.plan"),
        ("shards/tar.py", "from headrace.train.step import update"),
        ("prep/make/plan.py", "from headrace.train.recipe.recipe import load_recipe"),
        ("prep/make/plan.py", "from ...train.recipe import recipe"),
        ("prep/make/plan.py", "from headrace.prep.make.engines import pool"),
        ("prep/images/admit.py", "from headrace.prep.command.options import Options"),
        ("train/step/update.py", "from headrace.prep.images import admit"),
        ("train/step/update.py", "import importlib\nimportlib.import_module('headrace.prep.images.admit')"),
        ("train/step/update.py", "from headrace import cli"),
        ("train/step/update.py", "from headrace import ShardSet"),
        ("train/step/update.py", "def later():\n    from headrace.train.run import loop"),
        ("train/record/epoch.py", "from headrace.train.recipe.recipe import Recipe"),
        ("train/model/build.py", "from headrace.train.input.kernels import jit"),
        ("train/input/batch.py", "from headrace.train.model.normalisation import Normalisation"),
        ("train/step/update.py", "from train.step import loss"),
        ("cli.py", "from tests import conftest"),
        ("cli.py", "import prep.convert"),
    ],
)
def test_climb_is_found(path: str, text: str) -> None:
    """The checker sees imports that lead up, sideways, outside or by an old name, deferred and relative ones too."""
    assert len(climbs(Source(path, text))) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cli.py", "from headrace.prep import convert\nimport headrace.shards.verify"),
        ("prep/convert.py", "from headrace.shards.tar import TarWriter\nfrom .images.admit import admit"),
        ("train/step/update.py", "import torch\nfrom headrace.shards.order import Order"),
        ("train/input/feed.py", "from headrace.train.input.decode import cpu"),
        ("__main__.py", "from headrace.cli import main"),
    ],
)
def test_way_down_is_let_pass(path: str, text: str) -> None:
    """The ways that the rooms have are open."""
    assert climbs(Source(path, text)) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("prep/make/plan.py", "import torch"),
        ("prep/make/plan.py", "def later():\n    from torch.utils import data"),
        ("train/step/update.py", "import importlib\nimportlib.import_module(name)"),
    ],
)
def test_stray_import_is_found(path: str, text: str) -> None:
    """The checker sees torch outside train, and a name that is computed."""
    assert len(strays(Source(path, text))) == 1


@pytest.mark.parametrize(
    ("home", "text"),
    [
        ("cli.py", "import click"),
        ("prep/images/admit.py", "from nvidia import nvimgcodec"),
        ("prep/images/admit.py", "def later():\n    import simplejpeg"),
        ("shards/sheet.py", "from PIL import Image"),
        ("shards/draws.py", "import numpy as np\nnp.random.default_rng(0)"),
        ("shards/draws.py", "from numpy.random import default_rng"),
        ("shards/draws.py", "import random"),
        ("shards/store.py", "import os\nos.replace(a, b)"),
        ("shards/store.py", "from os import fsync"),
        ("shards/store.py", "path.rename(target)"),
        ("shards/store.py", "(folder / name).replace(target)"),
        ("train/machine/device.py", "import torch\ntorch.cuda.synchronize()"),
        ("train/run/process.py", "import torch\ntorch.set_num_threads(1)"),
        ("train/run/process.py", "import torch\ntorch.backends.cudnn.benchmark = True"),
        ("train/run/process.py", "import torch\ntorch.backends.cuda.matmul.allow_tf32 = True"),
        ("train/run/process.py", "libc.mallopt(-1, 0)"),
        ("train/machine/numerics.py", "import torch as t\nt.autocast('cpu')"),
        ("train/machine/device.py", "images.to(memory_format=torch.channels_last)\nimport torch"),
        ("train/machine/device.py", "images.cuda()"),
        ("train/machine/device.py", "if accelerator.ordinal is None:\n    pass"),
        ("train/machine/device.py", "there = images.device.type == 'cuda'"),
        ("train/machine/device.py", "there = images.is_cuda"),
        ("train/step/compiled.py", "import torch\ntorch.compile(network)"),
        ("train/input/decode/dali.py", "import nvidia.dali.fn as fn"),
        ("train/input/decode/dali.py", "from nvidia.dali import pipeline_def"),
        ("train/machine/world.py", "import torch\ntorch.distributed.get_rank()"),
        ("train/machine/world.py", "from torch.nn.parallel import DistributedDataParallel"),
        ("train/machine/world.py", "rank = environ['LOCAL_RANK']"),
        ("train/machine/profile.py", "from torch.profiler import record_function"),
        ("train/machine/launch.py", "from torch.distributed.launcher.api import elastic_launch"),
    ],
)
def test_thing_away_from_home_is_found(home: str, text: str) -> None:
    """The checker sees each thing in another file, under any alias, and lets it pass at home."""
    assert {home} == {finding.split()[-1] for finding in away_from_home(Source("train/step/update.py", text))}
    assert away_from_home(Source(home, text)) == []


def test_second_home_is_let_pass() -> None:
    """A thing may be known in two files; its neighbours may not know of it, nor the second of what the first has."""
    second = "train/input/decode/turbo.py"
    assert away_from_home(Source(second, "from simplejpeg import decode_jpeg")) == []
    assert away_from_home(Source(second, "import nvidia.nvimgcodec"))
    assert away_from_home(Source("train/input/decode/cpu.py", "import simplejpeg"))


@pytest.mark.parametrize(
    "text",
    [
        "name.replace('.jpg', '.cls')",
        "import dataclasses\ndataclasses.replace(recipe, seed=1)",
        "import torch\ntorch.randn(3)",
        "ranks = 'RANKS'",
        "from headrace.shards.draws import uniforms",
    ],
)
def test_look_alike_is_let_pass(text: str) -> None:
    """Names that only look like a guarded thing are nobody's home."""
    assert away_from_home(Source("train/step/update.py", text)) == []


def test_input_is_put_together_in_one_place() -> None:
    """Runs, evaluation, `Loader` and benchmarks all get their batches from `train/input/assembly.py`."""
    sources = [*product(), *(read(ROOT / path) for path in kept() if is_benchmark(path))]
    assert {source.path for source in sources if builds_input(source)} == {"train/input/assembly.py"}
    assert builds_input(Source("benchmarks/x.py", "made: Feed = ImagePipeline[Plan](split)\n"))


def builds_input(source: Source) -> bool:
    """Whether it calls ImagePipeline or Feed."""
    called = (node.func for node in source.nodes if isinstance(node, ast.Call))
    names = (func.value if isinstance(func, ast.Subscript) else func for func in called)
    return any(dotted(name).split(".")[-1] in ("ImagePipeline", "Feed") for name in names)


def is_benchmark(path: str) -> bool:
    """Whether it is a module of a benchmark."""
    return path.startswith("benchmarks/") and path.endswith(".py")
