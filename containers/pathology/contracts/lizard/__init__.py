"""What authoring and lizard's jobs agree on, by step."""
