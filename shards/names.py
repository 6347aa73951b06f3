"""Names of files that are the same in every shard set."""

MANIFEST = "shardset.json"
STAMP = "source.stat"  # only prep writes it
REPORT = "report.jsonl"
WORK = ".prep"
"""At a URL: the folder with what a prep must know until its set is complete."""
SOURCE_URL = ".url"
"""In the folder of a fetched set: the file with its origin."""
