"""What authoring and msi's jobs agree on, by step."""
