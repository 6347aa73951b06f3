"""The fixed names of files in shard sets."""

MANIFEST = "shardset.json"
STAMP = "source.stat"  # only prep writes it
REPORT = "report.jsonl"
WORK = ".prep"
"""The folder at a URL where a prep stores its state until the set is complete."""
SOURCE_URL = ".url"
"""The file that contains the URL of a fetched set, in the local folder of the set."""
