"""The code blocks of README and docs that no other test runs: each page from top to bottom, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from headrace.train.recipe.recipe import load_recipe
from tests.e2e.commands import SMALL, headrace
from tests.extras.docs.environment import environment
from tests.project.blocks import PAGES, RUN, RUNNER, Block, blocks_of

LONG = {
    *("README.md", "callbacks.md", "commands.md", "doctor.md", "faster-input.md", "getting-started.md", "recipes.md")
}
"""Pages that take more than some seconds on two quiet cores."""
OWN = {"worked-example.md"}
"""Run as a notebook, by test_notebook.py."""
MADE_THERE = {"README.md", "commands.md", "subsets.md", "your-data.md"}
"""Pages that make shards/mine; the others take it for granted."""


def blocks(page: Path) -> list[Block]:
    """Those of a page that are run here."""
    return [block for block in blocks_of(page) if block.by == RUNNER and block.language in RUN]


CHOSEN = [
    pytest.param(page, id=page.name, marks=pytest.mark.faults if page.name in LONG else ())
    for page in PAGES
    if blocks(page) and page.name not in OWN
]


@pytest.fixture(scope="session")
def trained(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    out = tmp_path_factory.mktemp("trained") / "run"
    ended = headrace("train", tiny_set, "--out", out, *SMALL)
    assert ended.code == 0, ended.stderr
    return out


@pytest.fixture
def folder(tiny_set: Path, trained: Path, tmp_path: Path) -> Path:
    """What the pages speak of: photographs, a run and shard sets, by the names that they have there."""
    draw(tmp_path / "photographs", 20)
    draw(tmp_path / "other-photographs", 2)
    draw(tmp_path / "SOURCE/train", 9)
    draw(tmp_path / "SOURCE/val", 3)
    for name, target in {
        "photos": tmp_path / "other-photographs",
        "NAME": tiny_set,
        "shards/tiny": tiny_set,
        "runs/first": trained,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(target)
    for name in ("samples.txt", "chosen.txt"):
        (tmp_path / name).write_text("train 3\ntrain 17\nval 5\n")
    (tmp_path / "tars").mkdir()
    for tar in tiny_set.glob("*.tar"):
        (tmp_path / "tars" / tar.name).write_bytes(tar.read_bytes())
    return tmp_path


def draw(folder: Path, count: int) -> None:
    """Small images of two classes."""
    for number in range(count):
        for name, colour in (("brick", (170, 70 + number, 50)), ("grass", (40, 150, 40 + number))):
            path = folder / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.radial_gradient("L").resize((48, 40)).convert("RGB")
            Image.blend(image, Image.new("RGB", image.size, colour), 0.7).save(path)


def run(program: list[str], folder: Path) -> None:
    """To its end, as a user would whose pip has no server: what is not installed already is an error."""
    given = os.environ | environment(folder)
    ended = subprocess.run(
        program,
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, f"{program[-1]}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    assert "does not provide the extra" not in ended.stderr


@pytest.mark.timeout(1800)  # a page has many commands
@pytest.mark.parametrize("page", CHOSEN)
def test_blocks_of_the_page(page: Path, folder: Path, tiny_set: Path, trained: Path) -> None:
    """Each ends without an error; what one has made, the next ones find."""
    if page.name not in MADE_THERE:
        (folder / "shards/mine").symlink_to(tiny_set)
        (folder / "runs/mine").symlink_to(trained)
    if page.name in ("doctor.md", "subsets.md"):
        (folder / "shards/drawn").symlink_to(tiny_set)
    code = ""
    for block in blocks(page):
        if block.language == "sh":
            run(["bash", "-euo", "pipefail", "-c", block.text], folder)
        elif block.language == "python":  # a page is one program: the whole of it so far, as its names are used again
            code += f"{block.text}\n"
        elif block.language == "toml":
            (folder / "block.toml").write_text(block.text, "utf-8")
            load_recipe(str(folder / "block.toml"))
        else:
            with duckdb.connect() as connection:
                connection.execute(f"SET file_search_path = '{folder}'")
                assert connection.sql(block.text).fetchall() is not None
    if code:
        run([sys.executable, "-P", "-c", code], folder)
