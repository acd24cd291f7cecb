"""What the registry takes as a value of metadata: SageMaker's own pattern decides."""

import unicodedata

import regex
from pathology.contracts.evaluation import RegistryFacts
from pathology.contracts.registry import registry_text
from pydantic import ValidationError
from pytest import mark, raises

SAGEMAKER = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,256}")


def test_every_character_is_judged_as_sagemaker_does():
    """But for those that are composed first, and letters that came to Unicode after this Python."""
    for character in map(chr, range(0x3000)):
        taken = registry_text(character)
        assert SAGEMAKER.fullmatch(taken), hex(ord(character))
        if unicodedata.normalize("NFC", character) == character and unicodedata.category(character) != "Cn":
            assert (taken == character) == bool(SAGEMAKER.fullmatch(character)), hex(ord(character))


@mark.parametrize(
    ("text", "taken"),
    [
        ("MSI-H:MSI-L+MSS", "MSI-H:MSI-L+MSS"),
        ("dMMR (loss, any)", "dMMR _loss_ any_"),
        ("Tu\u0308binger", "T\u00fcbinger"),
        ("a\nb", "a_b"),
        ("", "_"),
        ("x" * 300, "x" * 253 + "..."),
    ],
)
def test_other_text_is_written_in_its_characters(text, taken):
    assert registry_text(text) == taken
    assert SAGEMAKER.fullmatch(taken) and RegistryFacts(labels=taken).labels == taken


@mark.parametrize("text", ["", "a,b", "x" * 257])
def test_what_it_does_not_take_is_never_written(text):
    with raises(ValidationError, match="the registry takes"):
        RegistryFacts(labels=text)
