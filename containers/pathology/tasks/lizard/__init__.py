"""Nuclear instances and their classes: a decoder on the encoder."""
