"""A set of 16 training tars, and the servers that have it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from tests.checkout import ROOT
from tests.extras.cloud.azure import Azure
from tests.extras.cloud.faulty import Faulty
from tests.extras.cloud.nginx import Nginx
from tests.extras.cloud.s3 import S3


@pytest.fixture(scope="session")
def many(tiny_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 training images in 16 tars, 120 of validation in 4."""
    out = tmp_path_factory.mktemp("many") / "set"
    prep(tiny_zip, out, Options(samples_per_shard=30), workers=1, if_exists="error", say=print)
    return out


@pytest.fixture(scope="session")
def small(tiny_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 training images in 160 tars."""
    out = tmp_path_factory.mktemp("small") / "set"
    prep(tiny_zip, out, Options(samples_per_shard=3), workers=1, if_exists="error", say=print)
    return out


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of 400 x 400: 160 training images in 16 tars of 2 MB, 20 of validation in 2."""
    folder, rng = tmp_path_factory.mktemp("heavy"), np.random.default_rng(0)
    for split, count in (("train", 80), ("val", 10)):
        for label in ("cat", "dog"):
            (folder / "source" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (400, 400, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "source" / split / label / f"{number}.jpg", quality=95)
    prep(folder / "source", folder / "set", Options(samples_per_shard=10), workers=1, if_exists="error", say=print)
    return folder / "set"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """Object storage."""
    server = S3()
    yield server
    server.close()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """Azure's protocol."""
    program = ROOT / ".extras/cloud/node_modules/.bin/azurite-blob"
    if not program.exists():
        pytest.skip("npm has not installed azurite")
    server = Azure(program, tmp_path_factory.mktemp("azure"))
    yield server
    server.close()


@pytest.fixture
def faulty(many: Path) -> Iterator[Faulty]:
    """A web server with the set."""
    server = Faulty(many)
    yield server
    server.close()


@pytest.fixture(scope="session")
def nginx(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """The same behind TLS."""
    server = Nginx(many, tmp_path_factory.mktemp("nginx"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that each test stages in."""
    folder = tmp_path / "stage"
    monkeypatch.setenv("HEADRACE_STAGE_DIR", str(folder))
    return folder
