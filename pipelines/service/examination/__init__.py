"""What the doctor looks at, one module a subject. Reads only: every call is a Describe, Get, List, Head or Simulate."""
