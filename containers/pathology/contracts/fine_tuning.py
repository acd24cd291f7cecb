"""How much of an encoder is trained, the same word for every task."""

from __future__ import annotations

from typing import Literal

FineTuning = Literal["linear", "lora", "last-blocks", "full"]
"""``linear`` nothing, a linear probe on embeddings computed once; ``lora`` low-rank adapters on qkv and proj; ``last-blocks`` the
last blocks; ``full`` all of it."""
