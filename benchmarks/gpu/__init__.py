"""What the GPU path does and how fast, a part a module. `python -m benchmarks.gpu --help` says how to run it."""
