"""`headrace inspect --json`: formats the figures of a shard set, such as counts and sizes, as one JSON object."""

import json
from typing import Any

from headrace.shards.bins import EDGES
from headrace.shards.inspection import Facts, Sample, SplitFacts
from headrace.shards.percentiles import PERCENTILES
from headrace.shards.shardset import ShardSet


def as_object(shards: ShardSet, facts: Facts) -> str:
    """The figures as the text of a JSON object; docs/inspect.md describes the fields."""
    counts = {split.name: split.per_class.tolist() for split in facts.splits}
    record = {
        "root": str(shards.where),
        "samples": shards.manifest.samples,
        "digest": shards.digest,
        "classes": [
            {"id": one, "name": name, "samples": {split: found[label] for split, found in counts.items()}}
            for label, (one, name) in enumerate(zip(shards.class_ids, shards.class_names, strict=True))
        ],
        "percentiles": PERCENTILES,
        "edges": EDGES,
        "splits": [_split(split, shards.class_ids) for split in facts.splits],
        "shared": [{"first": one, "second": other, "samples": count} for (one, other), count in facts.shared.items()],
        "equal": {
            "images": facts.images,
            "conflicting": facts.disputed,
            "pairs": facts.pairs,
            "listed": [
                {
                    "kind": one.kind,
                    "first": _sample(one.first, shards.class_ids),
                    "second": _sample(one.second, shards.class_ids),
                }
                for one in facts.twins
            ],
        },
    }
    return json.dumps(record, indent=1)


def _split(split: SplitFacts, ids: tuple[str, ...]) -> dict[str, Any]:
    balance = split.balance._asdict()
    empty = balance.pop("empty")
    classes = {what: {"id": ids[label], "samples": int(split.per_class[label])} for what, label in balance.items()}
    return {
        "name": split.name,
        "samples": split.samples,
        **{name: sizes.percentiles for name, sizes in split.sizes.items()},
        "histograms": {name: sizes.counts.tolist() for name, sizes in split.sizes.items()},
        "balance": {**classes, "empty": empty},
        "repeated": split.repeated,
        "conflicting": split.conflicting,
    }


def _sample(sample: Sample, ids: tuple[str, ...]) -> dict[str, Any]:
    return {**sample._asdict(), "class": ids[sample.label]}
