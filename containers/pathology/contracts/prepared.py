"""What a Prepare step hands on: folders named by their content, and prepared.json, from which later steps take their inputs."""

from __future__ import annotations

from pathology.contracts.settings import Settings, setting
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.uris import S3UriText

PREPARED = "prepared"
"""The prefix in the bucket, ``prepared/<task>/<hash>/``, and the output of a Prepare step that holds :data:`FILE`."""
FILE = "prepared.json"
"""A JSON object: for each thing that is handed on, by name, a :class:`Handed`; settings of later steps are objects of text beside them."""
COMPLETE = "COMPLETE"
"""The object that is written last to a content-named folder."""


class Handed(StrictJson):
    """A folder to take an input from, and the hash of what it holds.

    ``uri`` ends with a slash: S3 takes the text for the beginning of a key, and ``models/h-optimus-0`` begins
    ``models/h-optimus-0-mini/encoder.json`` as well.
    """

    uri: str
    sha256: str


class HandsOn(Settings):
    """What every Prepare job gets from the graph."""

    encoder: S3UriText = setting(..., "The folder with the encoder's manifest and checkpoint.")
    prepared: S3UriText = setting(..., "Where what is handed on goes, in folders named by their content.")
