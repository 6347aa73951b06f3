"""Measures the GPU path, with a module for each part. `python -m benchmarks.gpu --help` says how to run it."""

from headrace.train.machine.openmp import spin_briefly

spin_briefly()  # as the command does, before a part loads torch
