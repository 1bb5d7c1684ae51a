"""What can be asked of a server, derived from the tasks and the models of their options.

For each task there is a model of its request, strict where the task's own is lenient: JSON has numbers and booleans,
so nobody needs text to become one. The JSON schema that programs and the page get is made from that very model.
"""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from tratto.core.options import (
    HTTP,
    SDK,
    BadOptions,
    Entry,
    Papers,
    RunOptions,
    SaveOptions,
    TaskOptions,
    entries,
    help_text,
    with_names,
)
from tratto.jobs.masking import CLASSES, MASKING
from tratto.server.child import PACKED
from tratto.server.problems import Problem
from tratto.tasks import OBJECTS, SCENES, TASKS, Input, Task

Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
ClassName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,30}$")]
#: Groups of options, as a form shows them, and the models they come from.
GROUPS: dict[str, Any] = {"writing": SaveOptions, "papers": Papers, "run": RunOptions}
#: What a job takes whose task works on a folder.
CAPTURE = Input("picture", "ZIP file of photographs with their cameras: COLMAP's or transforms.json.", kind="capture")
#: From this length on a text is one of words.
WORDS = 500
#: The option that names services elsewhere.
SENDS = "scorer"
#: Keys that match no pattern are refused; pydantic does so, but does not say it.
_ONLY_THESE: dict[str, Any] = {"additionalProperties": False}
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Offer:
    """A task as a server offers it.

    Attributes
    ----------
    task : Task
        Whose options and inputs are offered.
    makes_mask : bool
        Its result is a mask, and it takes no options of other jobs.
    """

    task: Task
    makes_mask: bool = False

    @property
    def makes_scene(self) -> bool:
        """Whether its result is a scene."""
        return self.task.output == "scene"

    @property
    def from_capture(self) -> bool:
        """Whether it works on a folder of photographs, which comes as a ZIP file."""
        return self.task in SCENES

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it is given."""
        return (CAPTURE,) if self.from_capture else self.task.inputs

    @property
    def models(self) -> dict[str, Any]:
        """The models that its options come from, by group."""
        groups = {} if self.makes_mask else {"run": RunOptions} if self.makes_scene else GROUPS
        return {"task": self.task.model, **groups}

    @property
    def has_pages(self) -> bool:
        """Whether it says which page of a file it works on."""
        return not self.makes_mask and not self.makes_scene

    def entries(self) -> list[tuple[str, Entry]]:
        """Return its options with their groups, in the order of a form."""
        listed = [(group, entry) for group, model in self.models.items() for entry in entries(model, HTTP)]
        return [(group, e) for group, e in listed if e.name != "page" or self.has_pages or group == "task"]


@cache
def offers() -> dict[str, Offer]:
    """Return everything that can be asked for, by name."""
    listed = [*(Offer(t) for t in (*TASKS, *SCENES, *OBJECTS) if not t.local), *(Offer(t, True) for t in MASKING)]
    return {offer.task.name: offer for offer in listed}


def with_classes(item: Input) -> bool:
    """Return whether an input may be several masks, one for each class of damage."""
    return item.kind == "mask" and item.repeatable


# -- models of requests -----------------------------------------------------------------------------------------------


def _type(entry: Entry) -> Any:
    """Return the strict type of an option in a request."""
    base, http = entry.info.annotation, entry.option.http
    limits: dict[str, Any] = {"pattern": http["pattern"]} if "pattern" in http else {}
    text = Annotated[str, Field(max_length=http.get("maxLength", 200), **limits)]
    if entry.name == "page":  # "all" would be several jobs
        return Annotated[int, Field(ge=0, le=100_000)] | None
    if entry.reads_text:
        return base | text
    if "additionalProperties" in http:
        named = next(s for s in http["additionalProperties"]["anyOf"] if s["type"] == "string")
        word = Annotated[str, Field(pattern=named["pattern"], max_length=named["maxLength"])]
        name = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]{0,40}$")]
        finite = Annotated[float, Field(allow_inf_nan=False)]
        return Annotated[dict[name, bool | int | finite | word], Field(max_length=32)]
    if base is str:
        longest = next((m.max_length for m in entry.info.metadata if hasattr(m, "max_length")), None)
        return text if longest is None else Annotated[str, Field(max_length=longest)]
    if get_origin(base) is tuple and get_args(base)[-1] is Ellipsis:
        several: Any = tuple[text, ...] if get_args(base)[0] is str else base
        return Annotated[several, Field(max_length=1000)]
    if get_origin(base) is Literal:
        return Annotated[base, BeforeValidator(_no_switch)]
    return base


def _no_switch(value: Any) -> Any:
    """Refuse true for 1, which is equal to it in Python and another thing in JSON."""
    if isinstance(value, bool):
        raise ValueError("expected one of the choices, got true or false")
    return value


def _field(group: str, entry: Entry) -> Any:
    """Return the field of an option: its default, its limits, and what a form needs to know."""
    kept = [m for m in entry.info.metadata if any(hasattr(m, n) for n in ("ge", "gt", "le", "lt"))]
    shown: dict[str, Any] = {"x-group": group, "x-widget": _widget(entry), "x-flag": entry.flag}
    if entry.option.unit:
        shown["x-unit"] = entry.option.unit
    if "additionalProperties" in entry.option.http:
        shown |= _ONLY_THESE
    default = entry.info.get_default(call_default_factory=True)
    made: Any = Field(default, description=help_text(entry, SDK), json_schema_extra=shown)
    made.metadata.extend(kept)
    return made


def _widget(entry: Entry) -> str:
    """Return by what a form asks for an option."""
    kind, origin = entry.kind, get_origin(entry.kind)
    if entry.name == "page":
        return "integer"
    if kind in (bool, int, float):
        return {bool: "switch", int: "integer", float: "number"}[kind]
    if origin is Literal:
        return "choice"
    if kind is str:
        longest = max((getattr(m, "max_length", 0) or 0 for m in entry.info.metadata), default=0)
        return "words" if longest >= WORDS else "text"
    if origin is tuple:
        inner = get_args(kind)
        if entry.reads_text:
            return "color"
        if inner[-1] is Ellipsis:
            return "points" if get_origin(inner[0]) is tuple else "names"
        return "corners" if len(inner) == 4 else "pair" if len(inner) == 2 else "values"
    return "values"


def _input_help(item: Input) -> str:
    """Return the help of an input: what the command line takes in a folder is given one by one here."""
    return with_names(item.help, {"folder": "", "classes": "one"}.__getitem__)


def _given(item: Input) -> Any:
    """Return the type of an input in a request."""
    one: Any = Id
    if item.words:
        one = one | Literal[item.words]
    if with_classes(item):
        one = one | Annotated[dict[ClassName, Id], Field(min_length=1, max_length=24, json_schema_extra=_ONLY_THESE)]
    return one | Annotated[list[one], Field(min_length=1, max_length=32)] if item.repeatable else one


@cache
def request_model(name: str) -> type[BaseModel]:
    """Return the model of a request for a task: ``{"task", "inputs", "options"}``.

    Examples
    --------
    >>> made = request_model("restore").model_validate_json(
    ...     '{"task": "restore", "inputs": {"picture": "0123456789abcdef0123456789abcdef"}}')
    >>> made.options.scale
    1
    """
    offer = offers()[name]
    title = "".join(word.title() for word in name.split("-"))
    fields: Any = {e.name: (_type(e), _field(group, e)) for group, e in offer.entries()}
    options = create_model(f"{title}Options", __config__=_STRICT, **fields)
    roles: Any = {}
    for i in offer.inputs:
        text = _input_help(i)
        needed = bool(i.missing) or i == offer.inputs[0]
        roles[i.role] = (
            (_given(i), Field(..., description=text)) if needed else (_given(i) | None, Field(None, description=text))
        )
    only: Any = Literal[name]
    inputs = create_model(f"{title}Inputs", __config__=_STRICT, **roles)
    return create_model(
        f"{title}Request",
        __config__=_STRICT,
        task=(only, ...),
        inputs=(inputs, ...),
        options=(options, Field(default_factory=options)),
    )


@cache
def any_request() -> TypeAdapter[Any]:
    """Return what reads a request for any task."""
    models = tuple(request_model(name) for name in offers())
    union: Any = Union[models]  # noqa: UP007
    return TypeAdapter(Annotated[union, Field(discriminator="task")])


def options_schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of a task's options, in the order of a form.

    Examples
    --------
    >>> options_schema("restore")["properties"]["strength"]["maximum"]
    1
    """
    model: Any = request_model(name).model_fields["options"].annotation
    schema: dict[str, Any] = TypeAdapter(model).json_schema()
    for shown in schema["properties"].values():
        shown.pop("title", None)
    return {"type": "object", "additionalProperties": False, "properties": schema["properties"]}


def task_facts(offer: Offer, services: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return what a client must know of a task.

    Parameters
    ----------
    offer : Offer
        The task, as this server offers it.
    services : mapping or None
        Those that the server's owner lets jobs ask, with their parameters: each is told with its host.
    """
    from tratto.providers.remote_judge import told

    task, options = offer.task, options_schema(offer.task.name)
    if SENDS in options["properties"] and not services:
        del options["properties"][SENDS]
    elif SENDS in options["properties"]:
        hosts = "; ".join(f"{name}: {told(name, params)}" for name, params in (services or {}).items())
        shown = options["properties"][SENDS]
        shown["description"] = f"{shown['description']} Here: {hosts}."
        shown["items"] = {"type": "string", "enum": list(services or ())}
    inputs = [
        {
            "role": i.role, "help": _input_help(i), "kind": i.kind,
            "required": bool(i.missing) or i == offer.inputs[0], "repeatable": i.repeatable,
            "classes": list(CLASSES) if with_classes(i) else [], "words": list(i.words),
        }
        for i in offer.inputs
    ]  # fmt: skip
    return {
        "name": task.name, "summary": task.summary, "output": task.output, "inputs": inputs,
        "options": options,
    }  # fmt: skip


def check_services(options: Mapping[str, Any], services: Iterable[str]) -> None:
    """Refuse to send pictures to a service that the server's owner did not name.

    Raises
    ------
    Problem
        409.
    """
    named = set(services)
    if other := [name for name in options.get(SENDS) or () if name not in named]:
        there = f"it asks {', '.join(sorted(named))}" if named else "it asks none"
        text = f"this server does not send pictures to {', '.join(other)[:100]}: {there}"
        raise Problem(409, "OptionError", text, f"options.{SENDS}")


# -- words ------------------------------------------------------------------------------------------------------------

_FLAG, _ELSEWHERE = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*"), re.compile(r" \((?:in Python:|tratto) [^()]*\)")


def http_words(text: str, offer: Offer) -> str:
    """Return a message with its options called as they are over HTTP.

    Most messages are made where nobody knows at which door they will be read, and name the command line's flags. Flags
    that a request has no option for, such as those of the server's owner, stay. What can be done at other doors alone
    is left out: other commands, and a folder of weights.

    Examples
    --------
    >>> http_words("left alone; --force restores it (in Python: force=True)", offers()["restore"])
    'left alone; force restores it'
    """
    text = "; ".join(part for i, part in enumerate(text.split("; ")) if i == 0 or "=FOLDER" not in part)
    names = {e.flag: e.name for _, e in offer.entries()} | {i.flag: i.role for i in offer.inputs}
    return _FLAG.sub(lambda found: names.get(found[0], found[0]), _ELSEWHERE.sub("", text))


# -- reading a request ------------------------------------------------------------------------------------------------


def _number(text: str) -> float:
    """Return a number; JSON knows no difference between 95 and 95.0."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def read_request(body: bytes) -> tuple[Offer, dict[str, Any]]:
    """Return the task of a request and what it says: ``inputs`` and ``options`` as given, checked.

    Raises
    ------
    Problem
        400 if it is no JSON, 422 naming the first thing that is wrong, 409 if options contradict each other.
    """
    try:
        given = json.loads(body, parse_constant=_no_number, parse_float=_number)
        text = json.dumps(given)
    except (ValueError, RecursionError) as e:
        raise Problem(400, "MalformedRequest", f"the request is no JSON: {e}"[:300]) from e
    if isinstance(given, dict) and isinstance(given.get("task"), str) and given["task"] not in offers():
        there = ", ".join(offers())
        raise Problem(422, "InvalidRequest", f"no task is called {given['task'][:40]!r}; there are {there}", "task")
    try:
        made = any_request().validate_json(text)
    except ValidationError as e:
        raise problem_of_validation(e) from e
    asked = made.model_dump(exclude_unset=True, mode="json")
    offer = offers()[asked["task"]]
    inputs = {role: value for role, value in asked["inputs"].items() if value is not None}
    options = asked.get("options", {})
    check_options(offer, options, inputs)
    return offer, {"task": asked["task"], "inputs": inputs, "options": options}


#: What stands in a place for one of several types.
_TYPE = re.compile(r"[\[\]()]|^(?:str|int|float|bool|list|dict|tuple|constrained-\w+)$")


def problem_of_validation(error: ValidationError) -> Problem:
    """Return what is wrong with a request: the first place, and what was expected there."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    found = [f for f in found if f["loc"][:3] == found[0]["loc"][:3]]  # what may be of several types is wrong for each
    first = next((f for f in found if not f["type"].endswith(("_type", "_parsing", "literal_error"))), found[0])
    shown = [str(p) for p in first["loc"] if p not in offers() and not _TYPE.search(str(p))]
    option = ".".join(shown[:3])[:200] or None
    return Problem(422, "InvalidRequest", f"{option or 'the request'}: {first['msg']}"[:500], option)


def split(offer: Offer, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of a request by group, with what those that are given imply."""
    found: dict[str, dict[str, Any]] = {group: {} for group in offer.models}
    for group, entry in offer.entries():
        if entry.name in options:
            found[group][entry.name] = options[entry.name]
            if options[entry.name] is True:
                for name, value in entry.option.implies.items():
                    if name not in options:
                        found[group][name] = value
    return found


def check_options(offer: Offer, options: Mapping[str, Any], inputs: Mapping[str, Any]) -> TaskOptions | None:
    """Refuse options that contradict each other or the inputs; no file is opened.

    Returns
    -------
    TaskOptions or None
        None: an option depends on what is in a file.

    Raises
    ------
    Problem
        409.
    """
    from tratto.core.errors import TrattoError

    groups = split(offer, options)
    roles: dict[str, Any] = {i.role: inputs.get(i.role) for i in offer.inputs[1:]}
    try:
        made = offer.task.model.of(groups["task"], roles, _grey)
        offer.task.check(made, roles)
        if "writing" in groups:
            SaveOptions(**groups["writing"])
            Papers(**groups["papers"])
    except BadOptions as e:
        words = "; ".join(with_names(p) for p in e.problems)
        raise Problem(409, "BadOptions", http_words(words, offer)[:1000], _first_named(e.problems, offer)) from e
    except TrattoError as e:
        raise Problem(409, type(e).__name__, http_words(str(e), offer)[:1000]) from e
    return made


def _first_named(problems: tuple[str, ...], offer: Offer) -> str | None:
    """Return the first option or input that problems name, as a request calls it."""
    options, roles = {e.name for _, e in offer.entries()}, {i.role for i in offer.inputs}
    for _, name, _, _ in string.Formatter().parse("; ".join(problems)):
        if name in options or name in roles:
            return f"{'options' if name in options else 'inputs'}.{name}"
    return None


def check_page(offer: Offer, options: Mapping[str, Any], pages: int) -> None:
    """Refuse a page that a file does not have, and to guess which of several is meant.

    Raises
    ------
    Problem
        409.
    """
    page = options.get("page")
    if offer.has_pages and (pages > 1 if page is None else page >= pages):
        holds = f"the file holds {pages} pages or frames" if pages > 1 else "the file holds one page"
        raise Problem(409, "OptionError", f"{holds}; say in page which one, from 0 to {pages - 1}", "options.page")


def check_kinds(offer: Offer, formats: Mapping[str, Iterable[str]]) -> None:
    """Refuse a ZIP file of photographs where a picture belongs, and the other way round.

    Parameters
    ----------
    offer : Offer
        What is asked for.
    formats : mapping
        Of the uploads that are given, by role.

    Raises
    ------
    Problem
        409.
    """
    for item in offer.inputs:
        wants = item.kind == CAPTURE.kind
        if any(wants != (found == PACKED) for found in formats.get(item.role, ())):
            what = "a ZIP file of photographs with their cameras"
            text = f"must be {what}, and this is a picture" if wants else f"must be a picture, and this is {what}"
            raise Problem(409, "InputError", f"{item.role} {text}", f"inputs.{item.role}")


def _grey(given: Any) -> Any:
    """Stand for a picture that nobody opens here."""
    import numpy as np

    from tratto.core.image import ColorMode, Image

    return Image(np.full((4, 4, 3), 128, np.uint8), ColorMode.RGB)
