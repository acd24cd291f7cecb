"""HP against SSA: a classifier of polyp patches."""
