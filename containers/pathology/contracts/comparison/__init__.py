"""Two models on the same items: which can be compared, by how much they differ, and whether the one may follow the other."""
