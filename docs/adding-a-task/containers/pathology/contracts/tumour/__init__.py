"""What authoring and tumour's jobs agree on, by step."""
