"""The bench of damage: mutants that can be reproduced, and shares of what was used."""

import pytest

from benchmarks.damage import CODECS, KINDS, Seen, figures_of, look, make_slide, mutant


@pytest.mark.parametrize("codec", CODECS)
def test_a_tile_whose_end_is_cut_off_is_heard_and_left_out(tmp_path, codec):
    path = tmp_path / "one.svs"
    slide = make_slide(path, codec)
    content, damaged = mutant(slide, "cut", 0)
    assert (content, damaged) == mutant(slide, "cut", 0) and content != slide.content and len(content) == len(slide.content)
    path.write_bytes(content)
    assert look(slide, path, damaged) == Seen(differ=False, used=False, complained=True)


def test_shares_are_of_the_mutants_that_differ():
    seen = [Seen(False, True, False), Seen(True, True, False), Seen(True, True, True), Seen(False, False, True)]
    figures = figures_of("jpeg", [("bit", result) for result in seen] + [("cut", None)])
    assert figures["mutants_jpeg"] == 3
    assert figures["unheard_share_jpeg"] == pytest.approx(1 / 3)
    assert figures["undetectable_share_jpeg"] == figures["undetectable_share_jpeg_bit"] == pytest.approx(1 / 3)
    assert set(KINDS) == {"bit", "byte", "zeros", "noise", "cut", "swap"}
