"""Tests, and what runs them: see areas.py."""
