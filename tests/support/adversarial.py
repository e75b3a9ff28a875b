"""A corpus of hostile and borderline answers, the same on every call.

Rows are (answer, gold, expected): 1.0 or 0.0 where the score is settled, None where only survival is asked for.
"""

from __future__ import annotations

import random

Row = tuple[str, str, float | None]

TOWERS = ["9^{9^{9^{9}}}", "2^{2^{2^{2^{2^{2}}}}}", "(10^{9})!", "9!!!!!!"]
"""Each keeps math-verify busy far beyond any limit; ours sees that they are too large."""


def rows() -> list[Row]:
    """At least 2,000 rows: the stress table of equivalent and wrong forms, then what is meant to break a grader."""
    return [*stress(random.Random(0)), *near_zero(), *survival()]


def stress(rng: random.Random) -> list[Row]:
    """Prediction kinds by which published graders were found to differ, on generated golds."""
    out: list[Row] = []
    for _ in range(150):
        n = rng.choice([rng.randint(2, 999), rng.randint(1000, 10**6), -rng.randint(1, 500)])
        out += [(str(n), str(n), 1.0), (f"{n}.0", str(n), 1.0), (f"x={n}", str(n), 1.0), (f"{n}\\text{{ cm}}", str(n), 1.0)]
        out += [(str(100 * n), str(n), 0.0), (str(n + 1), str(n), 0.0), (str(n), f"{n}.0", 1.0)]
        if abs(n) >= 1000:
            out += [(f"{n:,}", str(n), 1.0), (f"{n:,}".replace(",", "{,}"), str(n), 1.0)]
    for _ in range(100):
        a, b = rng.randint(1, 60), rng.choice([3, 7, 11, 13, 17])
        if a % b == 0:
            continue
        gold = f"\\frac{{{a}}}{{{b}}}"
        out += [(gold.replace("frac", "dfrac"), gold, 1.0), (f"{a}/{b}", gold, 1.0), (f"\\frac{{{a + 1}}}{{{b}}}", gold, 0.0)]
    for _ in range(100):
        v = f"{rng.uniform(1.5, 90):.3f}"
        out += [(f"{float(v) * (1 + 5e-4):.7f}", v, 0.0), (f"{float(v) * (1 + 5e-5):.7f}", v, 0.0), (v + "0", v, 1.0)]
        out += [(f"{float(v) * 100:.1f}", v, 0.0)]
    for _ in range(60):
        x, y, z = rng.sample(range(-40, 99), 3)
        gold = f"{x},{y},{z}"
        out += [(f"{z},{x},{y}", gold, 1.0), (f"{x},{y}", gold, 0.0), (str(x), gold, 0.0)]
        out += [(f"{abs(x)}{abs(y)}{abs(z)}", gold, 0.0)]
        out += [(f"({x}, {y})", f"({x},{y})", 1.0), (f"({y}, {x})", f"({x},{y})", 0.0)]
    return out


def near_zero() -> list[Row]:
    """Numbers whose difference vanishes at six decimals, and Euler's number set upright."""
    return [
        ("\\frac{1}{2006!}", "\\frac{1}{2004!}", 0.0),
        ("2^{-98}", "2^{-99}", 0.0),
        ("0.0000008", "0.0000012", 0.0),
        ("1.1 \\times 10^{-30}", "6.6 \\times 10^{-34}", 0.0),
        ("0", "1e-9", 0.0),
        ("1e-9", "0", 0.0),
        ("1+1/\\mathrm{e}", "1-1/\\mathrm{e}", 0.0),
        ("1-\\frac{1}{e}", "1-1/\\mathrm{e}", 1.0),
        ("3.89 \\times 10^{-10}", "3.89e-10", 1.0),
        ("0.00000120", "0.0000012", 1.0),
        ("0.333333", "\\frac{1}{3}", 1.0),
        ("50\\%", "0.5", 1.0),
        ("x>2", "x>2", 1.0),
        ("\\sin(\\pi)", "0", 1.0),
        ("\\sqrt{8}", "2\\sqrt{2}", 1.0),
    ]


def survival() -> list[Row]:
    """Bombs: never accepted for the gold, and nothing else breaks."""
    megabyte = 1 << 20
    nested = [
        opening * n + "1" + closing * n
        for opening, closing in (
            ("(", ")"),
            ("{", "}"),
            ("\\sqrt{", "}"),
            ("\\frac{1}{", "}"),
            ("\\left(", "\\right)"),
            ("\\text{", "}"),
            ("\\boxed{", "}"),
            ("x^{", "}"),
            ("\\{", "\\}"),
        )
        for n in (10, 2000)
    ] + ["{" * 20 + "1" + "}" * 20]
    huge = [c * megabyte for c in ("9", "x", "{", "\\", "\\frac", "$", " 1,", "\\boxed{", "\n", "\x00", "٣")]
    control = [
        f"{left}{code}{right}"
        for code in ("\x00", "\x07", "\x1b[2J", "\u202e", "\u200b", "\ufeff", "\U0001f600", "\u0338", "\r\n", "\\\\")
        for left in ("", "12", "\\frac{1}{2}", "x")
        for right in ("", "5", "\\sqrt{2}")
    ]
    digits = [chr(zero + d) * n for zero in (0x660, 0x6F0, 0x966, 0xFF10, 0x1D7CE) for d in range(10) for n in (1, 3)]
    broken = [
        part * n
        for part in (
            "\\frac{",
            "\\frac{1}",
            "\\begin{pmatrix}",
            "&",
            "\\\\",
            "^",
            "_",
            "}{",
            "\\sqrt[",
            "\\int_",
            "=",
            "<",
            "%",
            "$$",
            "\\[",
            "--",
            "+",
            "!",
            "|",
            "\\left",
            "1/0 ",
            "e",
            ".",
            ",",
            "'",
            '"',
            "`",
            "\\infty",
        )
        for n in (1, 2, 5, 20)
    ]
    literal = [
        "nan",
        "inf",
        "-inf",
        "None",
        "True",
        "0x1F",
        "1_000",
        "1e999999",
        "1e-999999",
        "1e" + "9" * 5000,
        "1/0",
        "0^0",
        "__import__('os')",
        "\\input{/etc/passwd}",
        "%s%n",
        "{0}",
        "\\write18{ls}",
    ]
    slow = [*TOWERS, *nested, "10^{10^{10}}"]
    rest = [(text, gold, 0.0) for text in [*huge, *control, *digits, *broken, *literal] for gold in ("77", "\\frac{3}{77}")]
    return [*((text, "77", 0.0) for text in slow), *rest]
