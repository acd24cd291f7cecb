"""Runs a serialised pipeline definition on this machine, and answers in boto3's shapes."""
