"""One pipeline a module, read from top to bottom like its picture."""
