"""Normal tissue against tumour: a classifier of patches."""
