"""Encoders as evaluations and artefacts name them: one with its publisher's hash, and one that a person named."""

from pathology.contracts.encoder import EncoderSource, NamedEncoder

SOURCE = EncoderSource(repository="bioptimus/H-optimus-0", revision="0123456789" * 4, sha256="d" * 64)
H_OPTIMUS_0 = NamedEncoder(name="h-optimus-0", sha256=SOURCE.sha256, source=SOURCE)
BY_HAND = NamedEncoder(name="our-own", sha256="d" * 64)
