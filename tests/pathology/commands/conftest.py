"""Lets the tests here import the modules beside them that make jobs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
