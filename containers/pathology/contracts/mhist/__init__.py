"""What authoring and mhist's jobs agree on, by step."""
