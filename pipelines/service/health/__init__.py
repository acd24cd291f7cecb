"""The health checks that the doctor runs, one module a subject. Reads only: every call is a Describe, Get, List, Head or Simulate."""
