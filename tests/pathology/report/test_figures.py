"""Figures: strict SVG, the same bytes twice, a band that holds the curve."""

import base64
import math
from xml.etree import ElementTree

import numpy as np
from pathology.contracts.history import LossCurve
from pathology.contracts.msi.evaluate import PatientPredictionRow
from pathology.metrics.ranking import roc_curve

GENERATOR = np.random.default_rng(0)
TRUTH = np.repeat([0, 1], 30)
SCORE = np.clip(GENERATOR.normal(0.4 + 0.2 * TRUTH, 0.15), 0, 1)


def test_svg_that_parses_and_repeats():
    from pathology.report.figures import NARROW, distribution_figure, precision_recall_figure, roc_figure

    makers = [
        lambda: roc_figure(TRUTH, SCORE, 0.5, 0.95, 0),
        lambda: precision_recall_figure(TRUTH, SCORE, 0.5),
        lambda: precision_recall_figure(TRUTH, SCORE, 1.0),  # nothing called positive: no point to draw
        lambda: distribution_figure(TRUTH, SCORE, 0.5, ("MSS", "MSI-H"), 0),
        lambda: distribution_figure(TRUTH, SCORE, 0.5, ("MSS", "MSI-H"), 0, NARROW),
    ]
    for make in makers:
        uri = make()
        assert uri == make()
        kind, _, content = uri.partition(",")
        assert kind == "data:image/svg+xml;base64"
        root = ElementTree.fromstring(base64.b64decode(content))
        assert root.tag.endswith("svg")
        links = [value for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)


def test_the_decision_curve_ends_where_everybody_costs_more_than_it_may_gain():
    from pathology.metrics.decision_curve import THRESHOLDS, decision_curve
    from pathology.report.figures import decision_figure, of_interest

    for positives, last in ((25, 0.51), (6, 0.14), (1, 0.02)):
        truth = np.repeat([0, 1], [60 - positives, positives])
        curve = decision_curve(truth, SCORE, 0.95)
        shown = of_interest(curve, positives / 60)
        assert [point.threshold for point in shown] == [at for at in THRESHOLDS if at <= last]
        uri = decision_figure(curve, positives / 60, "patients")
        assert uri == decision_figure(curve, positives / 60, "patients")
        ElementTree.fromstring(base64.b64decode(uri.partition(",")[2]))
    assert len(of_interest(curve, 0.001)) == 2


def test_losses_are_drawn_with_gaps_and_repeat():
    from pathology.report.losses import COLOURS, losses_figure

    curves = [LossCurve.of(f"fold {n}", 2, [(0.9, 0.8), (0.7, 0.6), (math.nan, 0.9)]) for n in range(len(COLOURS) + 1)]
    for side in ("training", "validation"):
        uri = losses_figure(curves, side)
        assert uri == losses_figure(curves, side)
        text = base64.b64decode(uri.partition(",")[2]).decode()
        assert all(colour in text for colour in COLOURS)
    assert losses_figure(curves, "training") != losses_figure(curves, "validation")


def test_the_band_holds_the_curve():
    from pathology.report.figures import GRID, roc_band

    low, high = roc_band(TRUTH, SCORE, 0.95, seed=0, draws=300)
    false_rates, true_rates = roc_curve(TRUTH, SCORE)
    curve = true_rates[np.searchsorted(false_rates, GRID, side="right") - 1]
    assert (low <= curve).all() and (curve <= high).all()
    assert (np.diff(low) >= 0).all() and high[-1] == 1
    assert (high - low).max() > 0.1


def test_the_most_confident_mistakes_come_first():
    from pathology.report.binary import confident_mistakes

    rows = [
        PatientPredictionRow(
            patient_id=name,
            site="",
            slides=1,
            label=label,
            probability=score,
            fold_std=0,
            predicted=score >= 0.2,
            slide_ids="s",
            slide_uris="u",
        )
        for name, label, score in [("a", 1, 0.02), ("b", 0, 0.9), ("c", 0, 0.1), ("d", 0, 0.3), ("e", 1, 0.19), ("f", 1, 0.8)]
    ]
    assert [row.patient_id for row in confident_mistakes(rows, 0.2)] == ["a", "b", "d", "e"]
