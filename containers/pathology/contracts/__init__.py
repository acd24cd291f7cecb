"""What authoring and jobs must agree on: settings, URIs, tables, JSON, log lines. Standard library, pydantic, numpy, scipy."""
