"""Training by epochs with Lightning for any task: batches, checkpoints, augmentation."""
