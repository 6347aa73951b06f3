"""The imports between modules as a graph."""

from tests.project.sources import product

Graph = dict[str, set[str]]


def imports_of_modules() -> Graph:
    """By path without ending: the modules of the project that each module imports."""
    sources = {source.path.removesuffix(".py"): source for source in product()}
    graph: Graph = {}
    for name, source in sources.items():
        parts = [item.name.split(".")[1:] for item in source.imports() if item.name.startswith("headrace.")]
        targets = {path for one in parts for path in ("/".join(one), "/".join(one[:-1]))}
        graph[name] = targets & set(sources)
    return graph


def circles(graph: Graph) -> list[str]:
    """Modules that import themselves, over whichever others."""
    return sorted(name for name in graph if name in _reached(graph, name))


def _reached(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph.get(name, ())
    return reached


def longest_chain(graph: Graph) -> list[str]:
    """The longest way from a module to one that it needs; the graph has no circles."""
    known: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in known:
            known[name] = [name, *max((chain(other) for other in sorted(graph.get(name, ()))), key=len, default=[])]
        return known[name]

    return max((chain(name) for name in sorted(graph)), key=len)
