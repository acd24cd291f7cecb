"""Any tile encoder by its manifest and hash, adapters in it, and embeddings kept."""
