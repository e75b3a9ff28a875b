"""Units by their definitions (SI, the international foot, pound and gallon), and numbers in words."""

from fractions import Fraction

import pytest

from harness.grading import units
from harness.grading.units import Unit, number_in_words, read_unit

FOOT, POUND = Fraction(3048, 10000), Fraction(45359237, 10**8)


@pytest.mark.parametrize(
    ("text", "factor", "dimension"),
    [
        ("km/h", Fraction(1000, 3600), {"length": 1, "time": -1}),
        ("kmh", Fraction(1000, 3600), {"length": 1, "time": -1}),
        ("mph", 5280 * FOOT / 3600, {"length": 1, "time": -1}),
        ("miles per hour", 5280 * FOOT / 3600, {"length": 1, "time": -1}),
        ("in. / min.", FOOT / 12 / 60, {"length": 1, "time": -1}),
        ("meters each second", 1, {"length": 1, "time": -1}),
        ("dollars an hour", Fraction(1, 3600), {"money": 1, "time": -1}),
        ("per hour", Fraction(1, 3600), {"time": -1}),
        ("m s^{-1}", 1, {"length": 1, "time": -1}),
        (r"kg \cdot m", 1, {"mass": 1, "length": 1}),
        (r"g \times cm", Fraction(1, 10**5), {"mass": 1, "length": 1}),
        (r"N\,s", 1, {"force": 1, "time": 1}),
        (r"\text{cm}^{2}", Fraction(1, 10**4), {"length": 2}),
        ("meter squared", 1, {"length": 2}),
        ("feet cubed", FOOT**3, {"length": 3}),
        ("square feet", FOOT**2, {"length": 2}),
        ("sq. ft.", FOOT**2, {"length": 2}),
        ("cu ft", FOOT**3, {"length": 3}),
        ("cubic meters per square inch", 1 / (FOOT / 12) ** 2, {"length": 1}),
        ("acre", 43560 * FOOT**2, {"length": 2}),
        ("mL", Fraction(1, 10**6), {"length": 3}),
        ("gallons", 231 * (FOOT / 12) ** 3, {"length": 3}),
        ("lb / oz", 16, {}),
        ("tons", 2000 * POUND, {"mass": 1}),
        (r"\$", 1, {"money": 1}),
        ("cents", Fraction(1, 100), {"money": 1}),
        ("distinct integers", 1, {"of integer": 1}),
        ("big red marbles", 1, {"of marble": 1}),
        ("Meters", 1, {"length": 1}),
        ("GBs", 10**9, {"data": 1}),
        ("Units", 1, {}),
        ("square units", 1, {}),
        ("radians / second", 1, {"time": -1}),
        ("people", 1, {"of people": 1}),
    ],
)
def test_size_and_dimension(text, factor, dimension):
    found = read_unit(text)
    assert found == Unit(Fraction(factor), tuple(sorted(dimension.items())))


@pytest.mark.parametrize(
    "text",
    ["3 apples", "or integers", "ab integers", "a", "half hours", "distinct", "glass", "1/s", "m/s/s", "m/", "square"]
    + ["m + s", "%", r"\pi cm", "thousands", "dozen eggs", "not marbles", "red", "units marbles m / s /"],
)
def test_what_names_no_unit(text):
    assert read_unit(text) is None


@pytest.mark.parametrize(
    ("names", "factor", "dimension"),
    [
        ("km KM Km", 1000, "length"),
        ("kg KG Kg", 1, "mass"),
        ("lb LB Lb", POUND, "mass"),
        ("oz OZ", POUND / 16, "mass"),
        ("ft FT Ft", FOOT, "length"),
        ("in IN In", FOOT / 12, "length"),
        ("hr HR Hr", 3600, "time"),
        ("rs RS Rs", 1, "rupee"),
        ("mile MILE Miles", 5280 * FOOT, "length"),
        ("C", 1, "temperature"),
        ("F", 1, "fahrenheit"),
        ("K", 1, "kelvin"),
        ("h", 3600, "time"),
        ("Hz", 1, "frequency"),
    ],
)
def test_two_letters_are_a_unit_in_any_case(names, factor, dimension):
    """Those of which none is another unit in another case."""
    for name in names.split():
        assert read_unit(name) == Unit(Fraction(factor), ((dimension, 1),)), name


@pytest.mark.parametrize("name", "M k G S H c f n w v a HZ EV CC hZ kPA".split())
def test_other_names_of_units_are_in_their_case(name):
    assert read_unit(name) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("zero", 0),
        ("Nineteen", 19),
        ("ten", 10),
        ("twenty", 20),
        ("twenty-five", 25),
        ("ninety nine", 99),
        ("two dozen", 24),
        ("one hundred", 100),
        ("one hundred and five", 105),
        ("three hundred twenty", 320),
        ("three hundred five", 305),
        ("one hundred twenty one", 121),
        ("one hundred nineteen", 119),
        ("one thousand", 1000),
        ("one thousand and one", 1001),
        ("two hundred thousand", 200_000),
        ("two hundred thousand and sixty", 200_060),
        ("five million", 5_000_000),
        ("one million two hundred thirty four thousand five hundred and six", 1_234_506),
    ],
)
def test_numbers_in_words(text, number):
    assert number_in_words(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "hundred", "dozen", "and", "and five", "five five", "five twenty", "ten five", "twenty twenty", "twenty eleven"]
    + ["twenty five six", "twenty ten", "one hundred twenty thirty", "hundred five", "three thousand thousand", "five apples"],
)
def test_words_that_are_no_number(text):
    assert number_in_words(text) is None


def test_the_table_of_units_has_every_name_of_every_line():
    found = units._table()
    assert found == units._TABLE and {dimension for _, dimension in found.values()} >= {"length", "mass", "time", "money"}
    assert found["metre"] == found["m"] == (1, "length") and found["inch"] == (FOOT / 12, "length")
    assert found["lb"] == found["pound"] == (POUND, "mass") and found["week"] == (7 * 24 * 3600, "time")


def test_plurals_count_things_and_words_that_end_in_s_alone_do_not():
    assert [units._named(word) for word in ("cats", "Dogs")] == [(1, "of cat", 1), (1, "of dog", 1)]
    assert {units._named(word) for word in ("virus", "glass", "axis", "gas", "as")} == {(Fraction(1), "", 0)}
