"""What a graph is made of: one small factory per kind of step."""
