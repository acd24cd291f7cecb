"""Lightning's own log lines."""

from __future__ import annotations

import logging
import warnings


def silence_lightning() -> None:
    """Lightning's advice about loaders and loggers would drown the lines that people and metrics read."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches.*")
    warnings.filterwarnings("ignore", message=".*treespec.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
