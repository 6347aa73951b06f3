"""Images for sets that grow, and an append run in this process."""

from pathlib import Path

from headrace.prep.append import append
from headrace.prep.command.options import Options
from headrace.prep.convert import Result
from tests.prep.contents import as_folder
from tests.prep.damage import tree
from tests.prep.test_convert import quiet
from tests.prep.test_fuzz import pictures

_KINDS = pictures()
JPEGS = list(tree().values())
IMAGES = [*JPEGS[:5], _KINDS["bmp"], _KINDS["png"], _KINDS["grey.jpg"]]  # two of them become other JPEGs
CUT = Options(samples_per_shard=3, val_fraction=0)
OTHER = Options(samples_per_shard=4, val_fraction=0, seed=5)
Tree = dict[str, int]  # path -> which of the images


def written(tree: Tree, folder: Path) -> Path:
    """Write the images of a tree as files."""
    return as_folder({path: IMAGES[image] for path, image in tree.items()}, folder)


def add(source: Path, out: Path, options: Options = OTHER, *, new_classes: bool = True) -> Result:
    """Run an append in this process."""
    return append(source, out, options, new_classes=new_classes, workers=1, say=quiet)
