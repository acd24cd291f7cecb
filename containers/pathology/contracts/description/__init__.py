"""What a model version says of itself: its card, its life cycle and its source, written from evaluation.json after registration."""
