"""Measures the product, alone and beside others. `python -m benchmarks` lists the commands.

harness/   timing, and writing results
input/     from a shard set to batches: rates compared with other loaders, and pixels with torchvision
step/      one update of the network
prep/      from a source to a shard set
whole/     a run from its start to its end
gpu/       the path on a GPU, part by part
results/   the results, each with its command, commit and machine
"""
