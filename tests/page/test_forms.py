"""Forms that are made of schemas: of every task there is, and of one that nobody wrote a form for."""

import pytest

from tratto.server.offers import options_schema
from tratto.tasks import TASKS

MAKE = """async ([schema, before]) => {
  const { makeForm } = await import("/form.js");
  const words = [{ name: "calm", text: "a calm wall" }];
  window.form = makeForm(schema, { values: before, pick: () => [[1, 2], [3, 4]], words });
  document.body.replaceChildren(window.form.element);
  return window.form.read();
}"""
#: A task of the future, with one option of each kind.
NEW = {
    "type": "object",
    "properties": {
        "switch": {"type": "boolean", "default": True, "x-widget": "switch"},
        "choice": {"enum": [1, 2, 4], "type": "integer", "default": 1, "x-widget": "choice"},
        "share": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5, "x-widget": "number"},
        "sigma": {
            "anyOf": [{"type": "number", "maximum": 255}, {"type": "null"}],
            "default": None,
            "x-unit": "1/255",
            "x-widget": "number",
        },
        "seed": {"type": "integer", "minimum": 0, "default": 0, "x-widget": "integer", "x-group": "run"},
        "words": {"type": "string", "maxLength": 2000, "default": "", "x-widget": "words"},
        "paint": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "x-widget": "color"},
        "places": {"type": "array", "default": [], "x-widget": "points"},
        "tiles": {"anyOf": [{"type": "array"}, {"type": "null"}], "default": None, "x-widget": "pair"},
        "params": {"type": "object", "default": {}, "x-widget": "values"},
        "kinds": {"type": "array", "default": [], "x-widget": "names"},
        "some": {"type": "array", "default": [], "items": {"enum": ["crack", "fold"]}, "x-widget": "names"},
    },
}


@pytest.mark.parametrize("task", [t for t in TASKS if not t.local], ids=lambda t: t.name)
def test_a_form_that_is_left_alone_asks_for_nothing(modules, task):
    properties = options_schema(task.name)["properties"]
    assert modules.evaluate(MAKE, [{"properties": properties}, {}]) == {}
    for name in properties:
        assert modules.locator(f"#option-{name}").count() == 1
        assert modules.locator(f"label[for=option-{name}]").count() == 1


def test_every_kind_of_option_says_what_was_chosen(modules):
    assert modules.evaluate(MAKE, [NEW, {}]) == {}
    for group in modules.locator("summary").all():
        group.click()
    modules.get_by_label("Switch").uncheck()
    modules.get_by_label("fold").check()
    modules.get_by_label("Choice").select_option("4")
    for name, text in {
        "share": "0.25",
        "sigma": "12.5",
        "seed": "7",
        "words": "a calm wall",
        "paint": "#112233",
        "tiles": "3, 2",
        "params": "noise=2\nname=x",
        "kinds": "crack, fold",
    }.items():
        modules.locator(f"#option-{name}").fill(text)
    modules.get_by_role("button", name="Take points").click()
    chosen = {
        "switch": False,
        "choice": 4,
        "share": 0.25,
        "sigma": 12.5,
        "seed": 7,
        "words": "a calm wall",
        "paint": "#112233",
        "places": [[1, 2], [3, 4]],
        "tiles": [3, 2],
        "params": {"noise": 2, "name": "x"},
        "kinds": ["crack", "fold"],
        "some": ["fold"],
    }
    assert modules.evaluate("() => window.form.read()") == chosen
    # a reload, or a job that is done again, brings all of it back
    assert modules.evaluate(MAKE, [NEW, chosen]) == chosen


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_sent(modules):
    for name, text in (("share", "2"), ("seed", "-1"), ("places", "1;2"), ("tiles", "3"), ("params", "noise")):
        modules.evaluate(MAKE, [NEW, {}])
        for group in modules.locator("summary").all():
            group.click()
        modules.locator(f"#option-{name}").fill(text)
        assert modules.evaluate("() => window.form.read()") is None
        assert modules.locator(f"#option-{name}").get_attribute("aria-invalid") == "true"
        assert modules.locator(f"#option-{name}-wrong").inner_text() != ""
        assert modules.evaluate("() => document.activeElement.id") == f"option-{name}"


def test_what_the_server_says_of_an_option_stands_at_its_field(modules):
    modules.evaluate(MAKE, [NEW, {}])
    said = "<img src=x onerror=alert(1)>"
    assert modules.evaluate("([text]) => window.form.complain('options.sigma', text)", [said]) is True
    assert modules.locator("#option-sigma-wrong").inner_text() == said
    assert modules.evaluate("() => window.form.complain('inputs.mask', 'x')") is False
