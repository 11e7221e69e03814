"""Published figures: every number of a paper, a post or a vendor, read with its source."""

import json
from dataclasses import dataclass
from typing import Any

from helpers.files import DATA


@dataclass(frozen=True)
class Published:
    """One published table. `columns` gives each column's meaning and unit; a figure not published is None."""

    title: str
    source: str
    conditions: str
    columns: dict[str, str]
    rows: list[dict[str, Any]]

    def row(self, **wanted: Any) -> dict[str, Any]:
        """The one row whose columns equal `wanted`; raises LookupError when it is not exactly one."""
        found = [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]
        if len(found) != 1:
            raise LookupError(f"{self.title}: {len(found)} rows match {wanted}, expected exactly one")
        return found[0]


def published(name: str) -> Published:
    """Reads `data/published/NAME.json`."""
    return Published(**json.loads((DATA / "published" / f"{name}.json").read_text(encoding="utf-8")))
