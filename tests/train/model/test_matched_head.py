import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.errors import UsageError
from headrace.train.model.matched_head import Matched, imagenet_synsets
from headrace.train.model.weights import load_weights
from tests.train.networks import narrow


def published(path: Path, classes: int = 1000) -> dict[str, torch.Tensor]:
    """Return a file of weights of a network with this many classes, and its tensors."""
    state = narrow(classes, seed=1).state_dict()
    torch.save(state, path)
    return state


def test_the_published_order_is_the_sorted_one() -> None:
    """There are 1,000 different ids in sorted order; a golden hash guards the file."""
    synsets = imagenet_synsets()
    assert len(set(synsets)) == 1000
    assert list(synsets) == sorted(synsets)
    digest = hashlib.sha256("\n".join(synsets).encode()).hexdigest()
    assert digest == "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"


@given(st.lists(st.sampled_from([*imagenet_synsets()[::7], "cat", "dog", "n99999999"]), min_size=1, unique=True))
def test_rows_are_those_of_the_same_class(names: list[str]) -> None:
    """Every class of ImageNet gets its published row, and no other class gets one."""
    matched, known = Matched.of(names), [name for name in names if name in imagenet_synsets()]
    assert [names[row] for row in matched.own] == known
    assert [imagenet_synsets()[row] for row in matched.published] == known


def test_matched_classes_begin_as_published_and_others_as_drawn(tmp_path: Path) -> None:
    """The body and matched rows come from the file; classes that ImageNet lacks keep their drawn rows."""
    wanted, into, drawn = published(tmp_path / "weights.pth"), narrow(3), narrow(3).state_dict()
    names = [imagenet_synsets()[7], "my own class", imagenet_synsets()[999]]
    said = load_weights(into, tmp_path / "weights.pth", Matched.of(names))
    assert said.endswith(", head of 3 classes, 2 of them with published weights")
    for key, value in into.state_dict().items():
        if not key.startswith("_fc."):
            assert torch.equal(value, wanted[key])
            continue
        assert torch.equal(value[0], wanted[key][7])
        assert torch.equal(value[1], drawn[key][1])
        assert torch.equal(value[2], wanted[key][999])


def test_a_file_without_the_thousand_classes_is_refused(tmp_path: Path) -> None:
    """The error names the file, its number of rows and the setting to use; the network does not change."""
    published(tmp_path / "weights.pth", classes=5)
    into, before = narrow(3), narrow(3).state_dict()
    with pytest.raises(UsageError, match=r"the classifier in .*weights\.pth has 5 rows instead.*model\.head=new"):
        load_weights(into, tmp_path / "weights.pth", Matched.of([imagenet_synsets()[0], "a", "b"]))
    assert all(torch.equal(value, before[key]) for key, value in into.state_dict().items())
