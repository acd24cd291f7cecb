"""What is said of an encoder before any number: nothing of one that its publisher's hash proves."""

from named_encoders import BY_HAND, H_OPTIMUS_0
from pathology.contracts.encoder import NamedEncoder
from pathology.report.warnings import placeholder_encoder, unverified_encoder


def said_of(encoder: NamedEncoder) -> list[str]:
    return [*placeholder_encoder(encoder, "patients"), *unverified_encoder(encoder)]


def test_a_verified_encoder_needs_no_warning():
    assert said_of(H_OPTIMUS_0) == []


def test_a_name_given_by_hand_is_called_so():
    remarked = BY_HAND.model_copy(update={"remark": "from a colleague"})
    assert said_of(remarked) == [
        "The encoder our-own is not verified: it was named by hand (from a colleague). Nothing shows that its weights "
        "(sha256 dddddddddddd…) are what the name says."
    ]
    assert said_of(BY_HAND)[0].startswith("The encoder our-own is not verified: it was named by hand. Nothing")


def test_a_placeholder_has_the_one_warning_of_its_own():
    (warning,) = said_of(NamedEncoder(name="tiny", sha256="0" * 64, placeholder=True, remark="seeded"))
    assert "a placeholder with seeded weights, not a published foundation model (seeded)" in warning and "patients" in warning
