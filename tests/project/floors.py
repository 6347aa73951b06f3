"""The order of the rooms. A module imports from its own room and from lower floors of its stack, and nothing else.

A room is a folder, without the folders inside it. Rooms on one floor do not import each other.
"""

from tests.project.sources import ROOMS, Source

GROUND = ("shards",)  # every room may import it
PREP = (  # from the ground up
    ("prep/command", "prep/images"),
    ("prep/sources",),
    ("prep/make",),
    ("prep/make/engines", "prep/make/subset"),
    ("prep",),
)
TRAIN = (
    ("train/recipe", "train/record"),
    ("train/machine", "train/record/loggers", "train/record/page"),
    ("train/input/augment", "train/input/kernels"),
    ("train/input/decode",),
    ("train/input", "train/model"),
    ("train/step",),
    ("train/checkpoint",),
    ("train/evaluate",),
    ("train/evaluate/export",),
    ("train/run",),
    ("train/doctor",),
)
TOP = (("commands",), ("cli",), ("headrace",))  # these know both stacks; "headrace" is the facade at the root
NEIGHBOURS = ("train/input", "train/model")  # with all that is inside them, neither knows the other
OUTSIDE = ("tests", "benchmarks", "examples")  # not shipped


def climbs(source: Source) -> list[str]:
    """Imports that lead up, or sideways into another room."""
    return [
        f"{source.path}:{item.line}: imports {item.name}; {source.room} may not import from {room}"
        for item in source.imports()
        if (room := room_of(item.name)) and not may_import(source.room, room)
    ]


def may_import(upper: str, lower: str) -> bool:
    """Whether a module of room `upper` may import one of room `lower`."""
    if upper == lower or lower in GROUND:
        return lower not in OUTSIDE
    if any(_inside(upper, one) and _inside(lower, other) for one in NEIGHBOURS for other in NEIGHBOURS if one != other):
        return False
    return any(_floor(lower, stack) < _floor(upper, stack) for stack in ((*PREP, *TOP), (*TRAIN, *TOP)))


def room_of(imported: str) -> str:
    """The room that an imported name leads to; "" outside of this project."""
    top, *parts = imported.split(".")
    if top in (*OUTSIDE, *ROOMS):
        return top if top in OUTSIDE else f"{top}, whose name is headrace.{top}"
    if top != "headrace":
        return ""
    paths = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((path for path in paths if path in all_rooms()), "headrace")


def all_rooms() -> list[str]:
    """Every room, the lower ones first."""
    return [room for floor in (GROUND, *PREP, *TRAIN, *TOP) for room in floor]


def _floor(room: str, stack: tuple[tuple[str, ...], ...]) -> float:
    """The number of its floor; not a number, which is not less than any, where it is not in the stack."""
    return next((number for number, floor in enumerate(stack) if room in floor), float("nan"))


def _inside(room: str, other: str) -> bool:
    return room == other or room.startswith(f"{other}/")
