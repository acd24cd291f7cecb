"""Patch classification for any table: files, embeddings, head, probe and fine-tuning."""
