import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.color import srgb_to_lab
from tratto.imaging.paint import circular_difference, dominant_color, parse_color


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("#c8d4e0", (200 / 255, 212 / 255, 224 / 255)),
        ("C8D4E0", (200 / 255, 212 / 255, 224 / 255)),
        ("#fa0", (1.0, 170 / 255, 0.0)),
        ("rgb(200, 212, 224)", (200 / 255, 212 / 255, 224 / 255)),
        ("rgb 0 0 255", (0.0, 0.0, 1.0)),
    ],
)
def test_colors_as_written(text, want):
    assert parse_color(text) == pytest.approx(want)


def test_lab_color_comes_back_as_lab():
    assert srgb_to_lab(np.array(parse_color("lab(60, 20, -30)"))) == pytest.approx((60, 20, -30), abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["", "#12345", "bleu", "rgb(1,2)", "rgb(300,0,0)", "rgb(-1,0,0)", "lab(50, 200, 0)", "lab(a,b,c)", "lab(nan,0,0)"],
)
def test_what_is_no_color_is_refused(text):
    with pytest.raises(OptionError):
        parse_color(text)


def test_dominant_color_by_each_method():
    pixels = np.concatenate([np.tile([0.2, 0.4, 0.6], (70, 1)), np.tile([0.9, 0.1, 0.1], (30, 1))])
    assert dominant_color(pixels) == pytest.approx((0.2, 0.4, 0.6))
    assert dominant_color(pixels, "mean") == pytest.approx((0.41, 0.31, 0.45))
    assert dominant_color(pixels, "kmeans") == pytest.approx((0.2, 0.4, 0.6), abs=1e-4)
    with pytest.raises(OptionError, match="at least one pixel"):
        dominant_color(np.full((5, 3), np.nan))
    with pytest.raises(OptionError, match="kmeans"):
        dominant_color(pixels, "mode")


@pytest.mark.parametrize(("a", "b", "want"), [(10, 350, 20), (350, 10, 20), (0, 180, 180), (-90, 90, 180), (725, 5, 0)])
def test_hue_goes_round(a, b, want):
    assert circular_difference(a, b) == pytest.approx(want)


def test_names_of_css_mean_their_colors_whoever_asked_before():
    from PIL import ImageColor

    ImageColor.getrgb("NavajoWhite")  # Pillow keeps what it has parsed in another form
    for _ in range(2):
        assert parse_color(" NavajoWhite ") == (1.0, 222 / 255, 173 / 255)
    assert parse_color("rebeccapurple") == parse_color("#663399")
    for wrong in ("nowhite", "", "transparent"):
        with pytest.raises(OptionError):
            parse_color(wrong)
