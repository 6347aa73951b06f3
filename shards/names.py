"""The names of files that have the same name in every shard set."""

MANIFEST = "shardset.json"
STAMP = "source.stat"  # only prep writes it
REPORT = "report.jsonl"
WORK = ".prep"
"""The folder at a URL where a prep stores its state until the set is complete."""
SOURCE_URL = ".url"
"""The file in the folder of a fetched set that names the URL of the set."""
