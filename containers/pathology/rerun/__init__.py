"""A registered model asked again by its own code: fetched, started in a process of its own, answering a test's questions."""
