"""Names of the files of a shard set that are the same in every set."""

MANIFEST = "shardset.json"
STAMP = "source.stat"  # only prep writes it
REPORT = "report.jsonl"
