"""Imports that no room may have, and the one home of each thing that differs.

Each finding is one line: where, what, why.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.project.sources import COMPUTED, Source, dotted, under

FACADE = "__init__.py"
"""Loads public names from a table when they are asked for; a test loads each."""


@dataclass(frozen=True)
class Home:
    """A thing that only one file may know of."""

    what: str
    where: str
    names: tuple[str, ...] = ()
    """Modules and functions, imported or used."""
    methods: tuple[str, ...] = ()
    """Attributes of any object."""
    asked: tuple[str, ...] = ()
    """Ends of attributes that are compared: `x.device.type == "cpu"`."""
    words: tuple[str, ...] = ()
    """Strings, as names of environment variables are."""
    folder: str = ""
    """Whose files share the home."""
    also: tuple[str, ...] = ()
    """Files that are a home too."""
    besides: tuple[str, ...] = ()
    """Parts of `names` that have a home of their own."""


_KEEPING = ("numba.core.caching", "numba.core.compiler", "numba.core.serialize")
_TURBO = ("train/input/decode/turbo.py", "train/input/decode/turbo_library.py")
_PROCESS = (
    "torch.cuda.set_device",
    "torch.backends.cudnn.benchmark",
    "torch.backends.cudnn.allow_tf32",
    "torch.backends.cuda.matmul.allow_tf32",
    "torch.set_float32_matmul_precision",
    "torch.set_num_threads",
    "torch.set_num_interop_threads",
    "torch.use_deterministic_algorithms",
    "torch.set_default_dtype",
    "torch.set_default_device",
)
HOMES = (
    Home("click", "cli.py", ("click",), folder="commands/"),
    Home("admitting images", "prep/images/admit.py", ("nvidia.nvimgcodec",)),
    Home("libjpeg-turbo", "prep/images/admit.py", ("simplejpeg",), also=_TURBO),
    Home(
        "Pillow: pictures with text, and for people to look at; formats that only it reads",
        "shards/sheet.py",
        ("PIL",),
        also=("shards/picture.py", "shards/thumbnail.py", "prep/images/formats.py"),
    ),
    Home("object storage", "shards/remote.py", ("obstore",)),
    Home("conditions in SQL", "prep/make/subset/condition.py", ("duckdb",)),
    Home("Ray", "prep/make/engines/ray_session.py", ("ray",), also=("prep/make/engines/on_ray.py",)),
    Home("pages", "train/record/page/render.py", ("jinja2",)),
    Home("HEIC", "prep/images/formats.py", ("pillow_heif",)),
    Home("random draws", "shards/draws.py", ("random", "secrets", "numpy.random")),
    Home(
        "how a file becomes visible",
        "shards/store.py",
        ("os.replace", "os.rename", "os.renames", "os.link", "os.fsync", "os.fdatasync", "shutil.move"),
        ("rename",),
    ),
    Home(
        "CPU or GPU",
        "train/machine/device.py",
        ("torch.cuda", "torch.backends", "torch.channels_last"),
        ("cuda", "is_cuda", "is_cpu"),
        (".device.type", ".device.index", ".ordinal"),
        besides=_PROCESS,
    ),
    # A library leaves its process as it is: one file of a run may change that.
    Home("what holds for the whole process", "train/run/process.py", _PROCESS, ("mallopt",)),
    Home("number formats", "train/machine/numerics.py", ("torch.autocast", "torch.amp")),
    # Compiled code differs from what is written in its memory and its guards: only one file may bring it in.
    Home("compiling the network", "train/step/compiled.py", ("torch.compile", "torch.compiler", "torch._dynamo")),
    Home(
        "loops compiled by numba",
        "train/input/kernels/jit.py",
        ("numba.njit", "numba.jit", "numba.vectorize", *_KEEPING),
    ),
    Home(
        "code for LLVM",
        "train/input/kernels/simd.py",
        ("llvmlite", "numba.core", "numba.extending", "numba.types"),
        besides=("numba.types.ExternalFunction", "llvmlite.__version__", "llvmlite.binding", *_KEEPING),
    ),
    Home(
        "C functions in compiled loops",
        "train/input/kernels/libc.py",
        ("numba.types.ExternalFunction", "llvmlite.binding"),
        also=("train/input/kernels/turbojpeg.py",),
    ),
    Home("NVIDIA DALI", "train/input/decode/dali.py", ("nvidia.dali",)),
    Home(
        "one process or many",
        "train/machine/world.py",
        ("torch.distributed", "torch.multiprocessing", "torch.nn.parallel"),
        words=("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "HEADRACE_STORE"),
        besides=("torch.distributed.elastic", "torch.distributed.launcher"),
    ),
    Home(
        "tracing a run", "train/machine/profile.py", ("torch.profiler", "torch.autograd.profiler", "torch._C._profiler")
    ),
    Home("starting ranks", "train/machine/launch.py", ("torch.distributed.elastic", "torch.distributed.launcher")),
)


def strays(source: Source) -> list[str]:
    """Imports of torch outside train, and those that no rule can follow."""
    found = []
    for item in source.imports():
        seen = f"{source.path}:{item.line}: imports {item.name}"
        if item.name.split(".")[0] == "torch" and not source.room.startswith("train/"):
            found.append(f"{seen}; only train may import torch")
        if item.name == COMPUTED and source.path != FACADE:
            found.append(f"{seen}, which no rule can follow")
    return found


def away_from_home(source: Source, homes: tuple[Home, ...] = HOMES) -> list[str]:
    """Things known outside the one file that is their home."""
    return [
        f"{source.path}:{line}: {seen}; the home of {home.what} is {home.where}"
        for home in homes
        if source.path not in (home.where, *home.also) and not (home.folder and source.path.startswith(home.folder))
        for seen, line in sorted(set(_mentions(source, home)))
    ]


def _mentions(source: Source, home: Home) -> Iterator[tuple[str, int]]:
    yield from ((item.name, item.line) for item in source.imports() if _claims(home, item.name))
    yield from ((name, line) for name, line in source.uses() if _claims(home, name))
    yield from ((f".{node.attr}", node.lineno) for node in source.attributes if node.attr in home.methods)
    for node in source.nodes:
        if isinstance(node, ast.Compare):
            yield from ((name, node.lineno) for name in _compared(node) if name.endswith(home.asked))
        elif isinstance(node, ast.Constant) and node.value in home.words:
            yield f'"{node.value}"', node.lineno
        elif "rename" in home.methods and _replaces_a_path(node):
            yield ".replace(target)", getattr(node, "lineno", 0)


def _claims(home: Home, name: str) -> bool:
    return under(name, home.names) and not under(name, home.besides)


def _compared(node: ast.Compare) -> list[str]:
    """The attributes on either side of a comparison."""
    return [dotted(side) for side in (node.left, *node.comparators) if isinstance(side, ast.Attribute)]


def _replaces_a_path(node: ast.AST) -> bool:
    """Path.replace takes one argument; str.replace takes two, and dataclasses.replace keywords."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    ours = dotted(node.func) != "dataclasses.replace" and node.func.attr == "replace"
    return ours and len(node.args) == 1 and not node.keywords
