"""Texts that are numbers, and texts that only look like some."""

WHOLE_NUMBERS = {"0": 0, "7": 7, "-3": -3, "1000": 1000, "9007199254740993": 9007199254740993}
NUMBERS = {"0": 0.0, "0.5": 0.5, "-2.25": -2.25, "1e-4": 0.0001, "1E+3": 1000.0, "3": 3.0, "1e-05": 0.00001, "0e9": 0.0}
NEITHER = (
    *(
        "1_000",
        " 5 ",
        "5 ",
        "\t5",
        "5\n",
        "\N{NO-BREAK SPACE}5",
        "+5",
        "--5",
        "0x10",
        "0b1",
        "007",
        "1,000",
        "5%",
        "many",
        "none",
    ),
    *("nan", "NaN", "inf", "-inf", "Infinity", "true", "True", "1e999", "-1e999", "e3", "-", ".", "null", "[5]"),
    *("１０", "٣", "൫", "²", "½", "\N{MINUS SIGN}5"),
)
"""Python takes many of them: int(" 1_0 "), float("nan"), int("１０")."""
NO_WHOLE_NUMBERS = (*NEITHER, "1e3", "5.0", "5.")
NO_NUMBERS = (*NEITHER, ".5", "5.", "1e", "1e-999", "1.5e-999")
