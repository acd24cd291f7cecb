"""The tiny encoder, made once: building it takes torch and timm, copying it does not."""

import shutil
from pathlib import Path

from pathology.contracts.features import EncoderCard
from pathology.models.encoder import CARD
from pathology.models.tiny import make_tiny_encoder

from tests.made import made_once


def copy_tiny_encoder(folder: Path) -> EncoderCard:
    """checkpoint.pth and encoder.json into ``folder``, as ``make_tiny_encoder`` writes them; what the card says."""
    made = made_once("tiny-encoder", make_tiny_encoder)
    folder.mkdir(parents=True, exist_ok=True)
    card = EncoderCard.from_json((made / CARD).read_bytes(), CARD)
    for name in (card.checkpoint, CARD):
        shutil.copy2(made / name, folder / name)
    return card
