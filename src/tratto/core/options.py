"""Options, each written once: a field of a model that carries all that a command, a function or a form needs to know.

A model is a pydantic model or dataclass that takes in :class:`Validated`; each of its fields is
``Annotated[type, Field(ge=0, le=1), Option("What it does.")]``. Its *doors* say where it is offered: ``cli`` (the
command line), ``sdk`` (Python) and ``http`` (a form or a request). Local paths and keys have no door to HTTP. What all
jobs share stands here: how results are written, what a job may cost, and how a command runs.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic import dataclasses as checked
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from tratto.core.errors import OptionError

T = TypeVar("T")
CLI, SDK, HTTP = "cli", "sdk", "http"
#: Limits of a field, and what is said of them.
LIMITS = {
    "ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "and below {}", "max_length": "of up to {} characters",
}  # fmt: skip
#: Types of fields in words.
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
LARGEST_SEED = 2**53 - 1
MOST_WORKERS = 256
#: JSON schema of a name that can be no path: what a string over HTTP must look like unless it is one of some choices.
NAME = {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": 100}


@dataclass(frozen=True)
class Option:
    """What a field carries beside its type, range and default.

    Attributes
    ----------
    help : str
        What it does. ``{name}`` stands for another option as each door calls it, ``{none}`` for what means None,
        ``{first}`` for the number of the first page.
    flag, short : str
        Of the command line; without a flag it is the field's name.
    unit : str
        Of a number.
    expected : str
        What it must be, in words, where the type does not say it.
    none : str
        What stands for None on the command line.
    metavar : str
        What stands for the value in the help of the command line.
    cli_type : type or None
        What the command line takes for it; None: the field's own type.
    parse : callable or None
        Turns one value of the command line into one of the field; ValueError: it is none.
    collect : callable or None
        Repeatable: makes the field's value of those.
    cli_default : Any
        The default on the command line, where it is not the field's.
    each : bool
        The command line takes several: a job with each.
    off : str
        Of a switch that is on: the flag turns it off, and this is what that does.
    implies : mapping
        What else a flag that is given means, by field.
    doors : tuple of str
        Where it is offered: ``"cli"``, ``"sdk"``, ``"http"``.
    http : mapping
        Narrows the JSON schema.
    """

    help: str
    flag: str = ""
    short: str = ""
    unit: str = ""
    expected: str = ""
    none: str = ""
    metavar: str = ""
    cli_type: type | None = None
    parse: Callable[[Any], Any] | None = None
    collect: Callable[[Iterable[Any]], Any] | None = None
    cli_default: Any = None
    each: bool = False
    off: str = ""
    implies: Mapping[str, Any] = field(default_factory=dict)
    doors: tuple[str, ...] = (CLI, SDK, HTTP)
    http: Mapping[str, Any] = field(default_factory=dict)


def option(default: Any, help: str, flag: str = "", **more: Any) -> Any:
    """Return a field of a model.

    Parameters
    ----------
    default : Any
        ``...``: it must be given.
    help, flag : str
        Of the :class:`Option`.
    **more
        Its other attributes, and limits: a name in ``LIMITS`` with a number.

    Examples
    --------
    >>> option(95, "Quality of lossy formats.", ge=1, le=100).default
    95
    """
    limits = {name: more.pop(name) for name in LIMITS if name in more}
    made = Field(default, **limits)
    made.metadata.append(Option(help, flag, **more))
    return made


class Entry(NamedTuple):
    """One option of a model: the field's name, what it carries, and what pydantic knows of it."""

    name: str
    option: Option
    info: FieldInfo

    @property
    def flag(self) -> str:
        """The name on the command line: ``--noise-sigma``."""
        return self.option.flag or "--" + self.name.replace("_", "-")

    @property
    def kind(self) -> Any:
        """The type without None: ``float``, ``Literal["seen", "paint"]``."""
        kinds = [k for k in get_args(self.info.annotation) if k is not types.NoneType]
        union = get_origin(self.info.annotation) in (Union, types.UnionType)
        kind = kinds[0] if union and len(kinds) == 1 else self.info.annotation
        return get_args(kind)[0] if get_origin(kind) is Annotated else kind

    @property
    def reads_text(self) -> bool:
        """Whether the model itself takes text for a value that is none, such as ``#c8d4e0`` for a color."""
        return get_origin(self.kind) is tuple and self.option.parse is None

    @property
    def expected(self) -> str:
        """What a value must be, in words: ``a number from 0 to 1``."""
        if self.option.expected:
            return self.option.expected
        if get_origin(self.kind) is Literal:
            *most, last = map(str, get_args(self.kind))
            return f"{', '.join(most)} or {last}"
        limits = {name: v for m in self.info.metadata for name in LIMITS if (v := getattr(m, name, None)) is not None}
        said = [LIMITS[n].format("2**53 - 1" if v == LARGEST_SEED else format(v, "g")) for n, v in limits.items()]
        return " ".join([KINDS[self.kind], *said])


def entries(model: Any, door: str | None = None) -> list[Entry]:
    """Return the options of a model, those of one door if one is named.

    Examples
    --------
    >>> [e.flag for e in entries(SaveOptions, "cli")]
    ['--format', '--quality', '--no-original', '--strip-metadata']
    """
    listed = model.model_fields if issubclass(model, BaseModel) else model.__pydantic_fields__
    found = [
        Entry(name, option, info)
        for name, info in listed.items()
        for option in info.metadata
        if isinstance(option, Option)
    ]
    return [e for e in found if door is None or door in e.option.doors]


class _Names(dict[str, str]):
    def __init__(self, called: Callable[[str], str]) -> None:
        super().__init__()
        self._called = called

    def __missing__(self, name: str) -> str:
        return self._called(name)


def with_names(text: str, called: Callable[[str], str] = str) -> str:
    """Return a text in which ``{name}`` is replaced by what an option is called.

    Examples
    --------
    >>> with_names("{clicks} x,y on it", "--{}".format)
    '--clicks x,y on it'
    """
    return text.format_map(_Names(called))


def escaped(text: str) -> str:
    """Return text of somebody else for :func:`with_names`: braces in it stand for themselves."""
    return text.replace("{", "{{").replace("}", "}}")


class BadOptions(OptionError):
    """Options that make no sense, said with the names that they have in Python or, by :func:`with_names`, elsewhere.

    Attributes
    ----------
    problems : tuple of str
        Texts for :func:`with_names`.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(map(with_names, problems)))
        self.problems = problems


def wrong_value(name: str, expected: str, got: Any) -> str:
    """Return the problem of a value that is not what it must be."""
    text = repr(got)
    shown = text if len(text) <= 80 else f"{text[:80]}... ({len(text)} characters)"
    return f"{{{name}}} must be {expected}, got {escaped(shown)}"


def _problems(error: ValidationError, model: Any) -> list[str]:
    """Return one problem for each option that is wrong."""
    known = {e.name: e for e in entries(model)}
    found: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False):
        where = item["loc"][0] if item["loc"] else "options"
        name = [*known][where] if isinstance(where, int) and where < len(known) else str(where)
        if name not in known:
            there = ", ".join(e.name for e in entries(model, SDK))
            found[name] = f"there is no option {escaped(repr(name))}; there are {there}"
        elif item["type"] == "value_error":
            found[name] = f"{{{name}}}: {escaped(item['msg'].removeprefix('Value error, '))}"
        else:
            found[name] = wrong_value(name, known[name].expected, item["input"])
    return list(found.values())


class Validated:
    """Validates on construction; what is wrong becomes :class:`BadOptions`, which names every wrong option."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as e:
            raise BadOptions(*_problems(e, cls)) from e


def documented(cls: type[T]) -> type[T]:
    """Complete the docstring of a model by its fields."""
    listed = "".join(f"\n{e.name} : {e.expected}\n    {help_text(e, SDK)}" for e in entries(cls))
    cls.__doc__ = f"{cleandoc(cls.__doc__ or '')}\n\nAttributes\n----------{listed}\n"
    return cls


@dataclass(frozen=True)
class Need:
    """What a task needs of the catalogue whatever the picture: names of the fields that say whom and how.

    Attributes
    ----------
    capability : str
        A key of the catalogue, such as ``"restorer"``.
    provider, params, scale, fast : str
        Fields of the options; empty: none.
    unless : tuple of str
        Providers for which nothing is needed.
    """

    capability: str
    provider: str = "provider"
    params: str = "params"
    scale: str = ""
    fast: str = ""
    unless: tuple[str, ...] = ()

    def arguments(self, options: TaskOptions) -> dict[str, Any] | None:
        """Return the arguments of a :class:`tratto.core.capability.Use`; None: nothing is needed."""
        names = {"provider": self.provider, "params": self.params, "scale": self.scale, "fast": self.fast}
        found = {key: getattr(options, name) for key, name in names.items() if name}
        return None if found["provider"] in self.unless else {"capability": self.capability, **found}


class TaskOptions(Validated, BaseModel):
    """Base of the options of a task. Frozen; what is unknown or out of range is a :class:`BadOptions`.

    Attributes
    ----------
    needs : tuple of Need
        What must be ready here whatever the picture, so that it is refused early where it is not.
    no_evidence : str
        Why forensic mode refuses the task whatever the picture; empty: it need not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs: ClassVar[tuple[Need, ...]] = ()
    no_evidence: ClassVar[str] = ""

    def needed(self) -> tuple[dict[str, Any], ...]:
        """Return what must be ready here, as arguments of :class:`tratto.core.capability.Use`."""
        each = (need.arguments(self) for need in self.needs)
        return tuple(arguments for arguments in each if arguments is not None)

    @property
    def sends(self) -> tuple[str, ...]:
        """What would leave this machine, and where it would go; told before a run."""
        return ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Document the fields."""
        documented(cls)

    @property
    def following(self) -> str:
        """Name of the task that is done with the result, as a job of its own; empty: none."""
        return ""

    @classmethod
    def of(cls, fields: Mapping[str, Any], inputs: Mapping[str, Any], read: Callable[[Any], Any]) -> Self:
        """Return options of what a caller gave: fields, and inputs by role, of which some may become fields.

        Parameters
        ----------
        fields : mapping
            Of this model.
        inputs : mapping
            What was given beside the picture, by role; None: not given.
        read : callable
            Opens an input as :class:`tratto.Image`.

        Raises
        ------
        OptionError
            Naming every option that is unknown, out of range or against another.
        """
        return cls(**fields)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse options that the inputs contradict.

        Parameters
        ----------
        inputs : mapping
            As for :meth:`of`.

        Raises
        ------
        BadOptions
            Naming every option that is wrong.
        """


def help_text(entry: Entry, door: str, called: Callable[[str], str] = str) -> str:
    """Return the help of an option for a door."""
    ours = {"none": entry.option.none, "first": "1"} if door == CLI else {"none": "None", "first": "0"}
    text = entry.option.off if entry.option.off and door == CLI else entry.option.help
    return with_names(text, lambda name: ours.get(name) or called(name))


# -- what text becomes ------------------------------------------------------------------------------------------------


def numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return what reads so many numbers written with commas, semicolons or spaces between them.

    Examples
    --------
    >>> numbers(2)("3, 4.5")
    (3.0, 4.5)
    """

    def read(text: str) -> tuple[float, ...]:
        values = tuple(float(v) for v in text.replace(";", ",").replace(" ", ",").split(",") if v)
        if len(values) != count:
            raise ValueError(f"expected {count} numbers, got {len(values)}")
        return values

    return read


def parameter(text: str) -> tuple[str, int | float | str]:
    """Return what ``NAME=VALUE`` says; numbers as numbers.

    Examples
    --------
    >>> parameter("noise=2")
    ('noise', 2)
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("expected NAME=VALUE")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def page_number(text: str) -> int | str:
    """Return the page that a command line names, from 0, or ``"all"``.

    Examples
    --------
    >>> page_number("1"), page_number("all")
    (0, 'all')
    """
    if text == "all":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a number from 1, or all")
    return int(text) - 1


def worker_count(text: str) -> int | str:
    """Return how many workers a command line asks for, or ``"auto"``.

    Examples
    --------
    >>> worker_count("2"), worker_count("auto")
    (2, 'auto')
    """
    if text == "auto":
        return text
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise ValueError(f"expected a number from 1 to {MOST_WORKERS}, or auto")
    return int(text)


def _pixels(megapixels: float) -> int:
    if not megapixels > 0:
        raise ValueError("expected more than 0")
    return int(min(megapixels * 1e6, 2.0**62))


#: What the command line has for the parameters of providers.
PARAMETERS: dict[str, Any] = {
    "metavar": "NAME=VALUE", "expected": "names with values, NAME=VALUE", "parse": parameter, "collect": dict,
}  # fmt: skip
#: JSON schema of parameters that can name no file.
NAMED_VALUES = {"additionalProperties": {"anyOf": [{"type": ["number", "boolean"]}, {"type": "string", **NAME}]}}
_FROZEN = ConfigDict(extra="forbid")
_ABOVE = "a number above 0 (inf = no limit)"
_HERE = (CLI,)


@documented
@checked.dataclass(frozen=True, config=_FROZEN)
class JobLimits(Validated):
    """What a job may cost before it is refused.

    Examples
    --------
    >>> JobLimits(minutes=5).minutes
    5.0
    """

    output_pixels: int = option(
        400_000_000, "Refuse results larger than this; inf = no limit.", "--max-output-megapixels", expected=_ABOVE,
        unit="megapixels (Python: pixels)", cli_type=float, parse=_pixels, cli_default=400.0, doors=(CLI, SDK), gt=0,
    )  # fmt: skip
    minutes: float = option(
        60.0, "Refuse jobs estimated to take longer than this; inf = no limit.", "--max-minutes", expected=_ABOVE,
        unit="minutes", doors=(CLI, SDK), gt=0,
    )  # fmt: skip


@documented
@checked.dataclass(frozen=True, config=_FROZEN)
class SaveOptions(Validated):
    """How a result is written.

    Examples
    --------
    >>> SaveOptions(format='tiff').format
    'tiff'
    """

    format: Literal["auto", "keep", "png", "tiff", "webp", "jpeg", "bmp"] = option(
        "auto", "auto (PNG; TIFF for TIFF and CMYK), keep (the input's), png, tiff, webp (lossless), jpeg or bmp."
    )
    quality: int = option(95, "Quality of lossy formats, 1-100.", ge=1, le=100)
    keep_original: bool = option(
        True, "Keep a byte-exact copy of the input in the bundle, from which it can be given back.", "--no-original",
        off="Keep no copy of the input in the bundle.",
    )  # fmt: skip
    strip_metadata: bool = option(
        False, "Drop EXIF, XMP, IPTC and text, and names and times from the bundle; no original is kept, either.",
        implies={"keep_original": False},
    )  # fmt: skip

    @field_validator("format", mode="before")
    @classmethod
    def _as_extension(cls, v: Any) -> Any:
        return {"jpg": "jpeg", "tif": "tiff"}.get(v, v) if isinstance(v, str) else v

    def __post_init__(self) -> None:
        if self.strip_metadata and self.keep_original:
            raise BadOptions(
                "an untouched original still holds its metadata: {strip_metadata} needs {keep_original}=False"
            )


@documented
@checked.dataclass(frozen=True, config=_FROZEN)
class RunOptions(Validated):
    """How a command does its job, whichever it is. From Python these are arguments of what does each."""

    out: Path = option(..., "Folder for the results.", short="-o", metavar="PATH", doors=_HERE)
    page: Annotated[int, Field(ge=0)] | Literal["all"] | None = option(
        None, "Page of files with several: a number from {first}, or all.", expected="the number of a page, or all",
        cli_type=str, parse=page_number, doors=(CLI, HTTP),
    )  # fmt: skip
    forensic: bool = option(
        False, "Refuse steps that could invent detail, providers for drawings, lower precision and lossy formats.",
        doors=(CLI, HTTP),
    )  # fmt: skip
    dry_run: bool = option(False, "Say what would be done and how long it may take.", doors=(CLI, HTTP))
    skip_existing: bool = option(False, "Leave results that exist.", doors=_HERE)
    overwrite: bool = option(False, "Replace results that exist (never an input).", doors=_HERE)
    keep_extension: bool = option(
        False, "Make photo.jpg.png of photo.jpg, beside photo.tif.tif of photo.tif.", doors=_HERE
    )
    case: Path | None = option(
        None, "File with operator, object, reason, note and date for all pictures or some; else case.toml among them.",
        metavar="FILE.toml", doors=_HERE,
    )  # fmt: skip
    ledger: Path | None = option(
        None, "Record each result in this ledger; see tratto ledger.", metavar="DIR", doors=_HERE
    )
    sign: str = option(
        "auto", "Identity that signs the results; auto: the one called default, if there is; none.", doors=_HERE
    )
    device: str = option(
        "auto", "Where networks run: auto, cpu, cuda or cuda:N.", expected="auto, cpu, cuda or cuda:N", doors=_HERE
    )
    manifest: Path | None = option(
        None, "Instead of PATH: a CSV or JSON-lines file of pictures (source, task, options, mask, out).",
        metavar="FILE", doors=_HERE,
    )  # fmt: skip
    jobs: Annotated[int, Field(ge=1, le=MOST_WORKERS)] | Literal["auto"] = option(
        "auto", "Processes that work on pictures side by side: a number, or auto (one for each core).",
        expected=f"a number from 1 to {MOST_WORKERS}, or auto", cli_type=str, parse=worker_count, doors=_HERE,
    )  # fmt: skip
    on: Literal["here", "ray"] = option(
        "here", "Where they run: here, or on Ray (RAY_ADDRESS, or a cluster started for this run).", doors=_HERE
    )
    as_json: bool = option(False, "Print one JSON document instead of lines.", "--json", doors=_HERE)

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            raise BadOptions("{skip_existing} and {overwrite} contradict each other")


@documented
@checked.dataclass(frozen=True, config=_FROZEN)
class Papers(Validated):
    """What a museum or a laboratory writes on its papers. It stands in the receipt, so that it is sealed with it."""

    operator: str = option("", "Who did the work: for the receipt and the report.", max_length=200)
    object: str = option("", "Object, inventory or case number.", max_length=200)
    reason: str = option("", "Why the work was done.", max_length=2000)
    note: str = option("", "Anything else that belongs to the account.", max_length=2000)
    date: str = option(
        "", "Day of the treatment, YYYY-MM-DD; the command line takes today where anything else is stated.",
        expected="a day that has begun, as YYYY-MM-DD", max_length=10,
    )  # fmt: skip

    @field_validator("operator", "object", "reason", "note")
    @classmethod
    def _one_line(cls, v: str) -> str:
        text = " ".join(v.split())
        if not text.isprintable():
            raise ValueError("it holds characters that cannot be printed")
        return text

    @field_validator("date")
    @classmethod
    def _a_day(cls, v: str) -> str:
        latest = (datetime.now(UTC) + timedelta(hours=14)).date()  # where days begin first
        with contextlib.suppress(ValueError):
            # Python reads weeks and days without hyphens, too
            if not v or (date.fromisoformat(v).isoformat() == v and date.fromisoformat(v) <= latest):
                return v
        raise PydanticCustomError("day", "must be a day that has begun, as YYYY-MM-DD")

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in PAPERS)

    def over(self, other: Papers) -> Papers:
        """Return these, with what they leave out taken from others."""
        return replace(other, **{name: value for name in PAPERS if (value := getattr(self, name))})

    def statements(self) -> tuple[dict[str, str], ...]:
        """Return them as statements of a receipt, each by the operator.

        Examples
        --------
        >>> Papers(object="Inv. 12", date="2026-03-01").statements()[0]
        {'kind': 'date', 'by': 'not named', 'text': '2026-03-01'}
        """
        by = self.operator or "not named"
        return tuple({"kind": n, "by": by, "text": v} for n in PAPERS if (v := getattr(self, n)))


#: Kinds of statements that are papers, in the order they are shown, and what a report calls them.
PAPERS = {
    "date": "Day of the treatment", "operator": "Operator", "object": "Object or case", "reason": "Reason",
    "note": "Note",
}  # fmt: skip
#: What every job has beside the options of its task.
COMMON = (SaveOptions, Papers, RunOptions, JobLimits)
