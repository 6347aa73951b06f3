import ast

import pytest

from tests.project.sources import Source, dotted, product

UNSAFE = ("pickle", "cPickle", "dill", "marshal", "shelve", "joblib")
BUILT_IN = ("eval", "exec", "compile")
OF_THE_USER = "train/input/kernels/jit.py"
"""Unpickles what numba has compiled, which has no other form: from the user's private folder, each file checked."""
FORKS = ("os.fork", "os.forkpty", "pty.fork")
"""A process that was forked after object storage was used waits for ever for threads that it does not have."""
CALLS = ("broadcast_object_list", "all_gather_object", "gather_object", "extractall")


def distrusted(source: Source) -> list[str]:
    """Places that could run what others say: pickles, torch.load without weights_only, eval; and those that fork."""
    pickles = [one for one in source.imports() if one.name.split(".")[0] in UNSAFE and source.path != OF_THE_USER]
    found = [f"{source.path}:{one.line}: {one.name}" for one in pickles]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        called, keywords = dotted(node.func), {one.arg: one.value for one in node.keywords}
        safe = keywords.get("weights_only")
        if called == "torch.load" and not (isinstance(safe, ast.Constant) and safe.value is True):
            found.append(f"{source.path}:{node.lineno}: torch.load without weights_only=True")
        forks = called in FORKS or any(isinstance(one, ast.Constant) and one.value == "fork" for one in node.args)
        if forks or called in BUILT_IN or called.split(".")[-1] in CALLS:
            found.append(f"{source.path}:{node.lineno}: {called}")
        allowed = keywords.get("allow_pickle")
        if isinstance(allowed, ast.Constant) and allowed.value is True:
            found.append(f"{source.path}:{node.lineno}: allow_pickle")
    return found


def test_nothing_unpickles_or_evaluates() -> None:
    """No file of the product runs what data says."""
    assert [line for source in product() for line in distrusted(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "dist.broadcast_object_list(box, src=0)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "archive.extractall(folder)",
        "os.fork()",
        "multiprocessing.get_context('fork')",
    ],
)
def test_unsafe_call_is_found(text: str) -> None:
    """The checker sees each of them."""
    assert len(distrusted(Source("train/step/update.py", text))) == 1


def test_safe_load_is_let_pass() -> None:
    """Weights alone are loaded safely."""
    assert distrusted(Source("train/step/update.py", "torch.load(path, weights_only=True)\nre.compile('x')")) == []
