"""Two mhist models on the same test patches, as their evaluations were stored."""

from __future__ import annotations

from pathology.contracts.comparison.reading import PATCH, binary_comparable, patch_contents

COMPARABLE = binary_comparable("mhist", unit="patches", item=PATCH, contents=patch_contents, group="group")
