"""What tests of every room share: a small shard set made by the real prep, and the real data set where there is one."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources.demo import demo_source
from headrace.shards.user_cache import private_folder
from headrace.train.machine.openmp import spin_briefly
from tests.checkout import SEARCH
from tests.real.part import extract

spin_briefly()  # as the command does, before a test loads torch

os.environ["PYTHONPATH"] = SEARCH
# Time is no property under test: a busy machine is not a failure.
settings.register_profile("headrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headrace")


@pytest.fixture(scope="session", autouse=True)
def one_copy_of_each_module() -> Iterator[None]:
    """No module is loaded a second time under the name of its folder: tests would patch one and run the other."""
    yield
    doubles = {"cli", "commands", "prep", "shards", "train"} & {name.partition(".")[0] for name in sys.modules}
    assert not doubles, f"imported without headrace in front: {doubles}"


@pytest.fixture(scope="session", autouse=True)
def cache_of_these_tests(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[None]:
    """What tests and the processes that they start keep for the user lies in a folder of this session.

    Loops that earlier sessions compiled are there from the start: they take longer than many tests.
    """
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    loops = private_folder("loops")
    if loops is None or pytestconfig.cache is None:
        yield
        return
    earlier = pytestconfig.cache.mkdir("loops")
    for path in earlier.iterdir():
        with suppress(FileNotFoundError):  # another session has just removed it
            shutil.copy2(path, loops)
    begun_with = {path.name for path in loops.iterdir()}
    yield
    for path in loops.iterdir():  # one by one and by rename: other workers of this session do the same
        part = earlier.with_name(f"{os.getpid()}.part")
        shutil.copy2(path, part)
        part.replace(earlier / path.name)
    for name in begun_with:
        if not (loops / name).exists():  # the least recently used go, beyond a limit
            (earlier / name).unlink(missing_ok=True)


TRAIN, VAL = 40, 10  # images a class of the tiny source


@pytest.fixture(scope="session")
def tiny_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn data set in TinyImageNet's layout: 12 classes, 480 training and 120 validation images of 64 x 64."""
    folder = tmp_path_factory.mktemp("tiny")
    return demo_source(folder / "tiny", 0, say=print, train=TRAIN, val=VAL)


@pytest.fixture(scope="session")
def tiny_set(tiny_zip: Path) -> Path:
    """The shard set of `tiny_zip`: 5 training shards and 2 validation shards. Shared, so never written to."""
    out = tiny_zip.parent / "set"
    prep(tiny_zip, out, Options(samples_per_shard=100), workers=1, if_exists="error", say=print)
    return out


@pytest.fixture(scope="session")
def example_set(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples are trained on: a part of the real data set where TINY_IMAGENET names its zip, else `tiny_set`.

    Both have the same numbers of classes and samples.
    """
    named = os.environ.get("TINY_IMAGENET", "")
    if not named.endswith(".zip"):
        return Path(request.getfixturevalue("tiny_set"))
    folder = tmp_path_factory.mktemp("examples")
    prep(
        extract(Path(named), folder / "tree", 12, TRAIN, VAL),
        folder / "set",
        Options(samples_per_shard=100),
        workers=1,
        if_exists="error",
        say=print,
    )
    return folder / "set"


@pytest.fixture(scope="session")
def real_zip() -> Path:
    """The real TinyImageNet zip or folder, where TINY_IMAGENET names it."""
    named = os.environ.get("TINY_IMAGENET")
    if not named:
        pytest.skip("TINY_IMAGENET does not name the real data set")
    return Path(named)


@pytest.fixture(scope="session")
def real_set(real_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shard set of the real data set, with the default options. Shared, so never written to."""
    out = tmp_path_factory.mktemp("real") / "set"
    prep(real_zip, out, Options(), workers=len(os.sched_getaffinity(0)), if_exists="error", say=print)
    return out
