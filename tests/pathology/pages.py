"""Reads a report as a browser would, as far as tests ask."""

import html.parser


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its text, and whether tags close."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.references, self.text, self.open = [], "", []
        self.feed(source)
        assert not self.open
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in {"src", "href", "srcset", "data"}]
        if tag in {"td", "th", "p", "br"}:
            self.text += " "
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def trained():
    """How a made model was trained, for a block of evaluation.json: three epochs, of which the second was kept."""
    from pathology.contracts.evaluation import TrainingReport
    from pathology.contracts.history import LossCurve

    return TrainingReport(
        code="9" * 16,
        settings={"epochs": "3", "learning-rate": "0.01"},
        inputs={"patches": "f" * 64},
        libraries={"torch": "2.0"},
        curves=[LossCurve.of("", 2, [(0.7, 0.69), (0.5, 0.6), (0.4, 0.8)])],
    )
