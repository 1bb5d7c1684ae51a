"""Answers of any shape: a source reads them or refuses them, and never falls over them."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tratto_lab.collect.client import Refused
from tratto_lab.collect.licences import licence_of
from tratto_lab.collect.run import attribution, file_name
from tratto_lab.collect.sources import Found, Page, open_source

leaf = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


class Parrot:
    """A client that gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer

    def json(self, url, where, headers=None, check=None):
        if check is not None:
            check({"error": self.answer} if isinstance(self.answer, str) else None)
        return self.answer

    def page(self, url, where):
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


def looked_at(name, answer, query="x"):
    try:
        page = open_source(name, "key-1").page(Parrot(answer), query, None)
    except Refused:
        return None
    assert isinstance(page, Page)
    for one in page.found:
        assert isinstance(one, Found)
        assert all(isinstance(v, (str, int, tuple)) for v in one.__dict__.values())
        assert Found.from_json(json.loads(json.dumps(one.to_json()))) == one
        assert file_name(name, one.id).isascii()
        attribution(one, licence_of(one.statements), "x").encode("utf-8")
    json.dumps(page.following)
    return page


@pytest.mark.parametrize("name", ["wikimedia", "smithsonian", "europeana", "mit-museum"])
@settings(max_examples=60, deadline=None)
@given(answer=anything)
def test_any_json_is_survived(name, answer):
    looked_at(name, answer)


def paths(value, here=()):
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from paths(one, (*here, key))


@pytest.mark.parametrize("name", ["wikimedia", "smithsonian", "europeana"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_true_answer_with_one_thing_wrong_is_survived(museum, name, data):
    museum.key = "key-1"
    if not museum.entries:
        museum.commons(1)
        museum.smithsonian(1)
        museum.europeana(1, ["http://creativecommons.org/publicdomain/zero/1.0/"])
    asked = {"formatversion": ["2"], "gsrnamespace": ["6"], "start": ["0"], "rows": ["9"]}
    asked |= {"wskey": ["key-1"], "cursor": ["*"]}
    path = {
        "wikimedia": "/w/api.php",
        "smithsonian": "/openaccess/api/v1.0/search",
        "europeana": "/record/v2/search.json",
    }
    answer = copy.deepcopy(museum.answer(path[name], asked, {"X-Api-Key": "key-1"})[1])
    assert len(looked_at(name, answer).found) == 1
    where = data.draw(st.sampled_from(list(paths(answer))[1:]))
    parent = answer
    for key in where[:-1]:
        parent = parent[key]
    parent[where[-1]] = data.draw(anything)
    looked_at(name, answer)


@pytest.mark.parametrize("answer", [[1, 2, 3], {}, {"status": "maintenance"}, None, "x"])
def test_what_answers_no_query_is_not_the_end_of_a_search(answer):
    for name in ("wikimedia", "smithsonian", "europeana"):
        with pytest.raises(Refused):
            open_source(name, "key-1").page(Parrot(answer), "x", None)


def test_a_search_that_finds_nothing_ends():
    page = open_source("wikimedia").page(Parrot({"batchcomplete": True}), "x", None)
    assert (page.found, page.following) == ((), None)


def test_an_entry_with_an_empty_address_offers_no_picture():
    from tratto_lab.collect.smithsonian import _address
    from tratto_lab.collect.wikimedia import _picture

    assert _picture({"pageid": 1}, {"url": "", "mediatype": "BITMAP"}) is None
    resources = [{"label": "High-resolution JPEG (1 x 1)", "url": ""}]
    assert _address({"resources": resources, "content": "https://a/b"}) == ("https://a/b", (0, 0))
