"""One function of a benchmark in a process of its own: `python -m benchmarks.harness.child MODULE FUNCTION ARGUMENTS`.

ARGUMENTS are a list in JSON. What the function returns is printed as the last line, in JSON; None is not printed.
"""

import json
import sys
from importlib import import_module

if __name__ == "__main__":
    module, function, arguments = sys.argv[1:]
    answer = getattr(import_module(module), function)(*json.loads(arguments))
    if answer is not None:
        print("\n" + json.dumps(answer), flush=True)  # a new line, should a library have left one unfinished
