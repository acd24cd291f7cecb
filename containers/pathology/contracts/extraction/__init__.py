"""What extraction and collection agree on: tiling belongs to no single task."""
