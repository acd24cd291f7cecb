"""Pages that verbs write: one HTML file each that needs nothing from outside, in the style of the evaluation's report."""
