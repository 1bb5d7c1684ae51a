"""The page of model cards says what the cards say."""

from pathlib import Path

from tratto.models.card import parse_card
from tratto.models.render import render_cards

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_cards_render_to():
    cards = [parse_card(p.read_text(), p.stem) for p in sorted((ROOT / "src/tratto/models/cards").glob("*.toml"))]
    page = (ROOT / "docs/model-cards.md").read_text()
    assert page == render_cards(cards), "run: python -m tratto.models.render > docs/model-cards.md"


def test_every_link_of_the_readme_leads_somewhere():
    import re

    text = (ROOT / "README.md").read_text()
    links = [t for t in re.findall(r"\]\(([^)#]+)", text) if "://" not in t]
    assert len(links) > 8
    assert [t for t in links if not (ROOT / t).exists()] == []
