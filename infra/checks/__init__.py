"""Whether the templates still hold together: connectivity as a graph, encryption, retention, roles, outputs."""
