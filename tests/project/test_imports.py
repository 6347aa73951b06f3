import subprocess
import sys

import pytest

from tests.project.rules import HOMES, MAY_IMPORT, away_from_home, strays
from tests.project.sources import ROOMS, ROOT, Source, product


def test_modules_are_found() -> None:
    """The walk sees every room: a rule over no files would hold for ever."""
    assert set(ROOMS) == {source.room for source in product()} == set(MAY_IMPORT)


def test_rooms_are_walked_one_way() -> None:
    """The rooms are cli -> prep -> shards <- train <- cli, and torch is known only to train."""
    assert [finding for source in product() for finding in strays(source)] == []


def test_each_thing_has_one_home() -> None:
    """DALI, torch.distributed, the device, click, publishing, codecs and draws are each known to one file."""
    assert [finding for source in product() for finding in away_from_home(source)] == []


def test_each_home_exists() -> None:
    """A home that was renamed takes its rule with it."""
    assert [home.where for home in HOMES if not (ROOT / home.where).is_file()] == []


@pytest.mark.parametrize("room", ["prep", "shards"])
def test_room_loads_without_torch(room: str) -> None:
    """Importing every module of the room loads neither torch nor DALI, also not through another package."""
    names = [source.path.removesuffix(".py").replace("/", ".") for source in product() if source.room == room]
    program = (
        f"import importlib, sys\n[importlib.import_module(name) for name in {names}]\n"
        "print([name for name in ('torch', 'nvidia.dali', 'train') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shards/tar.py", "import prep.plan"),
        ("shards/tar.py", "from train import step"),
        ("prep/plan.py", "import torch"),
        ("prep/plan.py", "def later():\n    from torch.utils import data"),
        ("prep/plan.py", "from train.recipe import load_recipe"),
        ("prep/plan.py", "from ..train import recipe"),
        ("train/step.py", "from prep import image"),
        ("train/step.py", "import importlib\nimportlib.import_module('prep.image')"),
        ("train/step.py", "import importlib\nimportlib.import_module(name)"),
        ("train/step.py", "import cli"),
        ("cli.py", "from tests import conftest"),
    ],
)
def test_stray_import_is_found(path: str, text: str) -> None:
    """The checker sees each kind of forbidden import, deferred and relative ones too."""
    assert len(strays(Source(path, text))) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("cli.py", "from prep import convert\nfrom train import run\nimport shards.verify"),
        ("prep/plan.py", "from shards.tar import TarWriter\nfrom .image import admit"),
        ("train/step.py", "import torch\nfrom shards.order import Order"),
    ],
)
def test_allowed_import_is_let_pass(path: str, text: str) -> None:
    """The ways that the rooms have are open."""
    assert strays(Source(path, text)) == []


@pytest.mark.parametrize(
    ("home", "text"),
    [
        ("cli.py", "import click"),
        ("prep/image.py", "from nvidia import nvimgcodec"),
        ("prep/image.py", "def later():\n    import simplejpeg"),
        ("prep/sheet.py", "from PIL import Image"),
        ("shards/draws.py", "import numpy as np\nnp.random.default_rng(0)"),
        ("shards/draws.py", "from numpy.random import default_rng"),
        ("shards/draws.py", "import random"),
        ("shards/store.py", "import os\nos.replace(a, b)"),
        ("shards/store.py", "from os import fsync"),
        ("shards/store.py", "path.rename(target)"),
        ("shards/store.py", "(folder / name).replace(target)"),
        ("train/accelerator.py", "import torch\ntorch.cuda.synchronize()"),
        ("train/process.py", "import torch\ntorch.set_num_threads(1)"),
        ("train/process.py", "import torch\ntorch.backends.cudnn.benchmark = True"),
        ("train/process.py", "import torch\ntorch.backends.cuda.matmul.allow_tf32 = True"),
        ("train/process.py", "libc.mallopt(-1, 0)"),
        ("train/numerics.py", "import torch as t\nt.autocast('cpu')"),
        ("train/accelerator.py", "images.to(memory_format=torch.channels_last)\nimport torch"),
        ("train/accelerator.py", "images.cuda()"),
        ("train/accelerator.py", "if accelerator.ordinal is None:\n    pass"),
        ("train/accelerator.py", "there = images.device.type == 'cuda'"),
        ("train/accelerator.py", "there = images.is_cuda"),
        ("train/compiled.py", "import torch\ntorch.compile(network)"),
        ("train/graphs.py", "import nvidia.dali.fn as fn"),
        ("train/graphs.py", "from nvidia.dali import pipeline_def"),
        ("train/world.py", "import torch\ntorch.distributed.get_rank()"),
        ("train/world.py", "from torch.nn.parallel import DistributedDataParallel"),
        ("train/world.py", "rank = environ['LOCAL_RANK']"),
        ("train/launch.py", "from torch.distributed.launcher.api import elastic_launch"),
    ],
)
def test_thing_away_from_home_is_found(home: str, text: str) -> None:
    """The checker sees each thing in another file, under any alias, and lets it pass at home."""
    assert {home} == {finding.split()[-1] for finding in away_from_home(Source("train/step.py", text))}
    assert away_from_home(Source(home, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "name.replace('.jpg', '.cls')",
        "import dataclasses\ndataclasses.replace(recipe, seed=1)",
        "import torch\ntorch.randn(3)",
        "ranks = 'RANKS'",
        "from shards.draws import uniforms",
    ],
)
def test_look_alike_is_let_pass(text: str) -> None:
    """Names that only look like a guarded thing are nobody's home."""
    assert away_from_home(Source("train/step.py", text)) == []
