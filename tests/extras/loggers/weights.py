"""A server as wandb's process sees one: as much of its API as a run needs that sends scalars."""

import json
import re
from typing import Any

from tests.extras.loggers.leaving import Answer, Away, Leaving

_PROJECT = {"id": "p", "name": "project", "entity": {"id": "e", "name": "entity"}}
_BUCKET = {"id": "b", "name": "run", "displayName": "run", "config": "{}", "project": _PROJECT, "historyLineCount": 0}
_GRAPHQL = {
    "RunResumeStatus": {"model": {**_PROJECT, "bucket": None}},
    "UpsertBucket": {"upsertBucket": {"bucket": _BUCKET, "inserted": True}},
    "CreateRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}},
}
_HISTORY = "wandb-history.jsonl"


class Weights(Leaving):
    """Keeps the rows of the history that it is sent."""

    def __init__(self, away: Away | None = None, after: int = 0) -> None:
        super().__init__(away, after)
        self.rows: list[dict[str, Any]] = []

    def brings_figures(self, method: str, path: str, values: Any) -> bool:
        """Whether it has rows of the history."""
        return method == "POST" and path.endswith("/file_stream") and _HISTORY in (values.get("files") or {})

    def answer(self, method: str, path: str, values: Any) -> Answer:
        """Keep the rows; of queries, answer those that matter."""
        if self.brings_figures(method, path, values):
            self.rows += [json.loads(line) for line in values["files"][_HISTORY]["content"]]
        data: dict[str, Any] = {}
        if path == "/graphql":
            (name,) = re.findall(r"^\s*(?:query|mutation)\s+(\w+)", values["query"])
            data = {"data": _GRAPHQL.get(name, {})}
        return Answer(json.dumps(data).encode())
