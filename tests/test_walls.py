"""What the next jobs need of the house, and what it refused before: a provider of another kind in a step."""

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from tratto.core.capability import DescriberInfo, Use
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe, step_params
from tratto.core.step import BaseStep, Step, StepRecord
from tratto.jobs import Job
from tratto.providers import catalogue
from tratto.tasks.prepared import Prepared


@dataclass(frozen=True)
class Lighten(BaseStep):
    """Asks a face engine of another capability by how much to lighten."""

    provider: str = "auto"
    params: dict = field(default_factory=dict)
    name: ClassVar[str] = "lighten"

    @property
    def uses(self):
        return (Use("face-engine", self.provider, self.params),)

    def named(self, uses):
        return replace(self, provider=uses[0].provider)

    def resolve(self, canvas, services):
        return self

    def apply(self, canvas, services):
        engine = services.open(self.uses[0])
        pixels = (canvas.image.pixels + engine.amount).astype(np.uint8)
        record = StepRecord(self.name, step_params(self), engine.info.provider, seed=services.seed)
        return canvas.replace(image=canvas.image.replace(pixels=pixels)), record


class Engine:
    def __init__(self, request):
        self.amount = int(request.params.get("amount", 7))
        self.info = DescriberInfo(request.provider, library="none", generative=request.provider == "dreaming")


@pytest.fixture
def engines(monkeypatch):
    module = ModuleType("engines")
    module.missing = lambda request: None
    module.open = Engine
    monkeypatch.setitem(__import__("sys").modules, "engines", module)
    rows = {
        "plain": catalogue.Row("engines", "adds", {"amount": catalogue.Param()}, auto=True),
        "dreaming": catalogue.Row("engines", "dreams", generative=True),
    }
    monkeypatch.setitem(catalogue.CATALOGUE, "face-engine", rows)
    monkeypatch.setitem(catalogue.NOUNS, "face-engine", "face engine")


def picture():
    return Image(np.full((40, 50, 3), 100, np.uint8), ColorMode.RGB)


def execute(step, **settings):
    image = picture()
    job = Job(**settings)
    inspection: Inspection = job.inspect(image)
    return job.execute(Recipe("restore", (step,)), image, inspection, Prepared())


def test_a_step_may_use_a_provider_of_any_capability(engines):
    done = execute(Lighten())
    assert isinstance(done.resolved.steps[0], Step)
    assert done.resolved.steps[0].provider == "plain"
    assert done.records[0].provider == "plain"
    np.testing.assert_array_equal(done.image.pixels, 107)
    assert execute(Lighten("plain", {"amount": 20})).image.pixels.max() == 120
    # a dry run prices it, and a forensic run looks whether it invents
    assert Job().plan is not None
    assert execute(Lighten(), forensic=True).image.pixels.max() == 107
    with pytest.raises(ForbiddenStep, match="dreaming is generative"):
        execute(Lighten("dreaming"), forensic=True)
    with pytest.raises(OptionError, match="'insightface'"):
        execute(Lighten("insightface"))


def test_what_the_contract_asks_for_is_declared():
    for step in (Lighten(), *_steps()):
        assert isinstance(step, Step)
        for name in ("name", "invents", "megapixels_per_second", "uses", "mask", "strength", "scale", "kernel"):
            assert hasattr(step, name)


def _steps():
    from tratto.steps import step_class, step_names

    made = {"repaint": {"color": [0.5, 0.5, 0.5]}}
    return [step_class(n)(**made.get(n, {})) for n in step_names()]
