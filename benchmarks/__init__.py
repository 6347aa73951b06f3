"""What the product does beside others, and how fast. `python -m benchmarks` lists the commands.

harness/   how something is timed and written down
input/     from a shard set to batches: rates beside others, and pixels beside torchvision's
step/      one update of the network
prep/      from a source to a shard set
whole/     a run from its start to its end
gpu/       the path on a GPU, part by part
results/   what was measured, each file with its command, commit and machine
"""
