"""Lets torchvision be imported beside a CPU build of torch, in every process that has this folder on its PYTHONPATH.

Packages of torchvision are compiled for a torch with CUDA. Without their compiled part its import fails, because shapes
are registered for two operators that nobody declared; so the two are declared here. Tests need its Python part only.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class DeclareOperators(MetaPathFinder):
    """Finds nothing; declares the operators just before torchvision is first looked for."""

    library: object = None  # what is declared ends with this

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Always None, so that the search goes on."""
        del path, target
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                library = torch.library.Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                type(self).library = library
        return None


sys.meta_path.insert(0, DeclareOperators())
