from __future__ import annotations

from dataclasses import asdict

import pytest

from trading_system.dashboard.theme import DARK, LIGHT, palette, style_sheet


def luminance(colour):
    def linear(part):
        part /= 255
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("name", ["ink", "muted", "good", "bad", "warn", "accent", "buy", "sell"])
@pytest.mark.parametrize("below", ["ground", "panel"])
def test_text_is_readable(colours, name, below):
    assert contrast(getattr(colours, name), getattr(colours, below)) >= 4.5


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_the_current_page_is_readable_on_its_mark(colours):
    assert contrast(colours.ink, colours.line) >= 4.5


def test_the_style_sheet_names_every_colour_of_both_themes_and_no_other_origin():
    text = style_sheet()
    for colours in (DARK, LIGHT):
        for name, value in asdict(colours).items():
            assert f"--{name}:{value};" in text
    assert "http" not in text
    assert "@import" not in text


def test_charts_get_the_palette_of_the_theme():
    assert palette(is_dark=True) is DARK
    assert palette(is_dark=False) is LIGHT
