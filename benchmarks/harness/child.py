"""Calls a function of a benchmark in this process: `python -m benchmarks.harness.child MODULE FUNCTION ARGUMENTS`.

ARGUMENTS is a list in JSON. The function's result is printed as JSON on the last line; None is not printed.
"""

import json
import sys
from importlib import import_module

if __name__ == "__main__":
    module, function, arguments = sys.argv[1:]
    answer = getattr(import_module(module), function)(*json.loads(arguments))
    if answer is not None:
        print("\n" + json.dumps(answer), flush=True)  # on a new line, because a library may have begun one
