"""Put a character's face in the place of the scene's: many looks are tried, the best one is taken."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tratto._version import __version__
from tratto.core.canvas import Canvas
from tratto.core.capability import (
    NEUTRAL,
    FaceBox,
    FaceJudge,
    FaceLandmarker,
    FaceMesh,
    FaceRefiner,
    FaceSwapper,
    FaceTrial,
    Score,
    Use,
)
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import step_params
from tratto.core.services import Services
from tratto.core.step import BaseStep, StepRecord
from tratto.faces import mesh
from tratto.faces.judge import JUDGES, potential
from tratto.faces.label import draw_label
from tratto.faces.place import Place, place_of, upright
from tratto.faces.search import Plan, search
from tratto.faces.swap import Look, Painter, Target, lay
from tratto.providers.catalogue import row_of

Float = NDArray[np.float32]

#: Width of one picture on the contact sheet.
THUMB = 224
#: One-sigma error stated of a face that was put in: nothing in the scene supports it.
ERROR = 0.25
#: Degrees by which a character may be turned otherwise than the scene's face: beyond, too much of it is not seen.
FARTHEST = 50.0
#: Share of the character's face that may be hidden without a warning.
HIDDEN = 0.3
#: By how much the result must be nearer to the character than to the scene's person, or it is warned of.
LIKER = 0.05
#: Distance up to which two faces are alike enough, whoever else is.
ALIKE = 0.4
#: What may become of the glasses of the scene, and the distance up to which a character is known behind them.
GLASSES, KNOWN = ("auto", "keep", "replace"), 0.5
#: Most looks drawn all over, most of those that are refined, and most drawn near each.
MOST = (48, 8, 16)
#: How the judges are weighed.
WEIGHTS = {"consistency": 1.0, "realism": 4.0, "identity": 1.5}
#: Who judges unless somebody else is named: on this machine, without a network of others.
EMBEDDED = {"identity": "likeness", "realism": "skin", "consistency": "seam"}
SYNTHETIC = "this picture shows a synthetic face: it was put in by calculation and was never in front of the camera"


@dataclass(frozen=True)
class Reface(BaseStep):
    """Parameters of the step. Where the picture may change is the canvas's ``edit`` mask.

    Attributes
    ----------
    consent : str
        Who states that the persons shown consent; without it nothing is done.
    engine, params : str, dict
        A face engine of the catalogue, and what it takes.
    judges, judging : dict
        By respect, a judge of the catalogue; and by judge, what it takes.
    refiner, refining : str, dict
        A refiner of the catalogue, and what it takes; empty: none.
    faces : dict
        Of the scene (``picture``) and each character, by role: its box (4 numbers), score and eyes (4), upright. Empty
        for a scene in which none was found: the face is laid in the mask.
    k_global, m_global, k_local : int
        See :class:`tratto.faces.search.Plan`.
    weights : dict
        Of the judges, by name.
    draft : int
        Width of a face, in pixels, at which candidates are made and judged; the winner is made at the picture's size.
    glasses : str
        Whether the glasses of the scene stay: ``"keep"``, ``"replace"``, or ``"auto"`` where they stay unless the
        character is not known behind them, which resolving settles.
    label : list of 4 int
        Box x, y, width, height, upright, of a visible label; empty: none.
    candidates : list of dict or None
        What was tried, in order: look, stage, parent, scores (None: missing) and potential. None: to be searched.
    winner : int
        Number of the best of them.
    """

    consent: str = ""
    engine: str = "warp"
    params: dict[str, Any] = field(default_factory=dict)
    judges: dict[str, str] = field(default_factory=lambda: dict(EMBEDDED))
    judging: dict[str, dict[str, Any]] = field(default_factory=dict)
    refiner: str = ""
    refining: dict[str, Any] = field(default_factory=dict)
    faces: dict[str, list[float]] = field(default_factory=dict)
    k_global: int = 8
    m_global: int = 3
    k_local: int = 4
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    draft: int = 224
    glasses: str = "auto"
    label: list[int] = field(default_factory=list)
    candidates: list[dict[str, Any]] | None = None
    winner: int = 0
    name: ClassVar[str] = "reface"
    #: Forensic mode refuses it.
    invents: ClassVar[bool] = True
    #: Speed on two cores, for estimates of time.
    speed: ClassVar[float | None] = 0.06

    def __post_init__(self) -> None:
        if sorted(self.weights) != sorted(JUDGES):
            raise OptionError(f"reface weighs {', '.join(JUDGES)}; got {', '.join(self.weights) or 'nothing'}")
        if sorted(self.judges) != sorted(JUDGES):
            raise OptionError(f"reface needs a judge of each of {', '.join(JUDGES)}; got {', '.join(self.judges)}")
        if self.glasses not in GLASSES:
            raise OptionError(f"reface: glasses are one of {', '.join(GLASSES)}, got {self.glasses[:40]!r}")
        if any(not 0 <= k <= most for k, most in zip(self._counts(), MOST, strict=True)):
            raise OptionError(
                f"reface tries up to {MOST[0]} looks all over and up to {MOST[2]} near each of {MOST[1]}, got "
                f"{', '.join(map(str, self._counts()))}"
            )
        if self.candidates is not None and len(self.candidates) > 1 + MOST[0] + MOST[1] * MOST[2]:
            raise OptionError(f"reface: {len(self.candidates)} candidates are more than are ever tried")
        if self.candidates is not None and not 0 <= self.winner < len(self.candidates):
            raise OptionError(f"reface: there is no candidate {self.winner} among {len(self.candidates)}")

    def _counts(self) -> tuple[int, int, int]:
        return self.k_global, self.m_global, self.k_local

    @property
    def uses(self) -> tuple[Use[Any], ...]:
        """The engine, who finds points, and the judges: of a resolved step those on this machine, who are not asked."""
        judges: list[Use[Any]] = [Use("face-judge", name, self.judging.get(name, {})) for name in self._judging()]
        if self.candidates is not None:
            judges = [use for use in judges if not row_of(use).sends]
        refiners: list[Use[Any]] = [Use("face-refiner", self.refiner, self.refining)] if self.refiner else []
        return (Use("face-swap", self.engine, self.params), Use("landmarks"), *judges, *refiners)

    def _judging(self) -> list[str]:
        return [self.judges[name] for name in JUDGES]

    def named(self, uses: tuple[Use[Any], ...]) -> Reface:
        """Keep what the engine and the judges take, as settled: a hash instead of a path."""
        judging = {u.provider: dict(u.params) for u in uses if u.capability == "face-judge" and u.params}
        refining = next((dict(u.params) for u in uses if u.capability == "face-refiner"), self.refining)
        return replace(self, params=dict(uses[0].params), judging={**self.judging, **judging}, refining=refining)

    def resolve(self, canvas: Canvas, services: Services) -> Reface:
        """Search, and fix the winner, so that a replay makes it again whatever its judges would say there."""
        if not self.consent.strip():
            raise OptionError("reface works on nobody's face without a stated consent: --i-have-consent NAME")
        if self.candidates is not None:
            return self
        work = _Work(self if self.glasses != "auto" else replace(self, glasses="keep"), canvas, services)
        if self.glasses == "auto" and work.both_wear:
            work = _Work(replace(self, glasses="replace"), canvas, services)
        tried, seconds, pictures = work.search()
        best = _best(tried)
        if self.glasses == "auto" and work.step.glasses == "keep" and work.worn and _distance(best) > KNOWN:
            bare = _Work(replace(self, glasses="replace"), canvas, services)
            again, later, others = bare.search()
            if _distance(_best(again)) < _distance(best):
                work, tried, seconds, pictures = bare, again, later, others
        found = replace(work.step, candidates=tried, winner=_best(tried)["number"])
        # what was made serves once more, in apply; it is no parameter, and nothing depends on it but time
        object.__setattr__(found, "_ready", (canvas.image, work, pictures, seconds))
        return found

    def apply(self, canvas: Canvas, services: Services) -> tuple[Canvas, StepRecord]:
        """Make the winner at the picture's own size, and the contact sheet."""
        if self.candidates is None:
            raise OptionError("reface must be resolved before it is applied")
        image, work, pictures, seconds = self.__dict__.pop("_ready", (None, None, [], []))
        if image is not canvas.image:
            work, pictures, seconds = _Work(self, canvas, services), [], []
        if not pictures:
            pictures = [work.made(work.small, Look.of(c["look"]))[0] for c in self.candidates]
        look = Look.of(self.candidates[self.winner]["look"])
        out, alpha = work.finished(look, self.label)
        sheet = Image(_sheet(pictures, self.candidates, self.winner), ColorMode.RGB)
        sigma: NDArray[np.uint16] = services.scratch(alpha.shape, np.uint16)  # type: ignore[assignment]
        sigma[:] = np.rint(alpha * np.float32(ERROR * 65535)).astype(np.uint16)
        notes = [SYNTHETIC, *work.notes]
        if work.worn:
            done = "taken off" if self.glasses == "replace" else "kept"
            notes.append(f"glasses were seen on the scene's face, and their frame was {done} (--glasses)")
        notes += [
            f"{j.scores} was judged by {j.info.provider}, {j.info.library}"
            for j in work.judges
            if j.info.provider not in EMBEDDED.values()
        ]
        missing = sorted({n for c in self.candidates for n, s in c["scores"].items() if s is None})
        for name in missing:
            lost = [c for c in self.candidates if c["scores"][name] is None]
            why = next((c["missing"][name] for c in lost if c.get("missing", {}).get(name)), "the judge could not say")
            notes.append(
                f"{name} is missing for {len(lost)} of {len(self.candidates)} candidates ({why}); the neutral "
                f"{NEUTRAL} stands for it"
            )
        best = self.candidates[self.winner]
        seen = best["numbers"]
        if "away" in seen and seen["away"] - seen["distance"] < LIKER and seen["distance"] > ALIKE:
            notes.append(
                f"the likeness was not reached: the result is {seen['distance']:.2f} from the character and "
                f"{seen['away']:.2f} from the person who was there; glasses, hair and light of the scene keep it so. "
                "Take another picture of the character, or another scene"
            )
        scores = {n: float(s) for n, s in best["scores"].items() if s is not None}
        record = StepRecord(
            step=self.name,
            params=step_params(self),
            provider=work.engine.info.provider,
            precision="fp32",
            library=", ".join(dict.fromkeys(i.library for i in work.infos if i.library)),
            models=tuple(m for i in work.infos for m in i.models),
            seed=services.seed,
            generative=True,
            confidence_basis="none",
            scores={"potential": float(best["potential"]), **scores},
            notes=tuple(notes),
            observed={"candidate_seconds": seconds} if seconds else {},
        )
        return canvas.replace(image=canvas.image.replace(pixels=out), sigma=sigma, sheet=sheet), record


class _Work:
    """Everything one run needs: the face in the scene, the characters, and who judges."""

    def __init__(self, step: Reface, canvas: Canvas, services: Services) -> None:
        from tratto.imaging.io import oriented

        self.step, self.canvas, self.services = step, canvas, services
        mask = canvas.masks.get("edit")
        if mask is None or canvas.scale != 1:
            raise OptionError(
                "reface needs a mask of where the face may change, and comes before anything that enlarges"
            )
        engine, landmarks, *others = (services.open(u) for u in step.uses)
        self.refiner: FaceRefiner | None = others.pop() if step.refiner else None
        self.engine: FaceSwapper = engine
        self._landmarks: FaceLandmarker = landmarks
        self.judges: list[FaceJudge] = others
        self.infos = [engine.info, landmarks.info, *(j.info for j in others)]
        self.infos += [] if self.refiner is None else [self.refiner.info]
        self._made: dict[str, Float] = {}
        self.notes: list[str] = []
        scene = upright(canvas.image)
        self._may = np.asarray(oriented(mask.values, canvas.image.meta.orientation) > 0.5)
        if step.label:  # what the label lies on is no face
            x, y, width, height = step.label
            self._may = self._may.copy()
            self._may[y : y + height, x : x + width] = False
        characters = self._characters()
        points = self._scene_points(scene, characters[0][1].points)
        self.place: Place = place_of(scene, points, self._may, step.glasses == "replace")
        target = self.place.target
        picture, points_of = self._best_posed(characters, target)
        full = Painter(target, lay(picture, points_of, target), self.engine, services.seed)
        self.full = full
        if full.hidden > HIDDEN:
            self.notes.append(
                f"hair or something else hides {100 * full.hidden:.0f} % of the character's face, and skin was "
                "continued there; a picture with a free face would look better"
            )
        # what a diffusion model paints depends on the size, so that it is judged as it will be
        alike = target.side <= step.draft or self.refiner is not None
        small = target if alike else target.smaller(step.draft / target.side)
        self.small = full if small is target else Painter(small, lay(picture, points_of, small), engine, services.seed)
        self._trials = characters
        #: Whether the scene's face wears glasses, and whether the character's that is laid on it does, too.
        self.worn = target.region.glasses
        self.both_wear = self.worn and full.laid.region.glasses

    def _characters(self) -> list[tuple[Float, FaceMesh]]:
        """Return the pictures of the character and the points of the face in each."""
        found = []
        for role, numbers in self.step.faces.items():
            if role == "picture":
                continue
            if role not in self.canvas.inputs:
                raise OptionError(f"reface works with the input {role!r}, and it was not given")
            picture = upright(self.canvas.inputs[role])
            found.append((picture, self._landmarks.find(picture, _box(numbers))))
        if not found:
            raise OptionError("reface needs a picture of the character: --character PICTURE")
        return found

    def _scene_points(self, scene: Float, like: NDArray[np.float64]) -> NDArray[np.float64]:
        numbers = self.step.faces.get("picture")
        if numbers:
            return self._landmarks.find(scene, _box(numbers)).points
        self.notes.append("no face was found in the scene: the character's is laid in the mask, as large as it is")
        rows, columns = np.nonzero(self._may)
        if len(rows) < 64:
            raise OptionError("no face was found in the scene, and the mask leaves no room for one: give --mask")
        low, high = (np.array([f(columns), f(rows)], float) for f in (np.min, np.max))
        oval = like[list(mesh.OVAL), :2]
        scale = float((high - low).min() / np.ptp(oval, axis=0)[int((high - low).argmin())])
        points = (like - np.append((oval.min(0) + oval.max(0)) / 2, 0)) * scale
        points[:, :2] += (low + high) / 2
        return np.asarray(points)

    def _best_posed(
        self, characters: Sequence[tuple[Float, FaceMesh]], target: Target
    ) -> tuple[Float, NDArray[np.float64]]:
        """Return the picture whose face is turned most like the scene's, and is large enough."""

        def cost(item: tuple[Float, FaceMesh]) -> float:
            turned = np.subtract(mesh.pose(item[1].points)[:2], mesh.pose(target.points)[:2])
            small = np.log2(max(1.0, target.side / max(mesh.width(item[1].points), 1.0)))
            return float(np.abs(turned).sum() + 12 * small)

        picture, found = min(characters, key=cost)
        if len(characters) > 1:
            number = 1 + [id(c[0]) for c in characters].index(id(picture))
            self.notes.append(
                f"of {len(characters)} pictures of the character the {_ordinal(number)} was laid on the scene, and "
                "likeness was measured against the mean of all"
            )
        turned = float(np.abs(np.subtract(mesh.pose(found.points)[:2], mesh.pose(target.points)[:2])).max())
        if turned > FARTHEST:
            raise OptionError(
                f"the character is turned {turned:.0f} degrees otherwise than the scene's face, and {FARTHEST:g} is "
                "the most that can be laid on it; give a picture that is turned alike"
            )
        if turned > 25:
            self.notes.append(
                f"the character is turned {turned:.0f} degrees otherwise than the scene's face; another picture would "
                "look better"
            )
        return picture, found.points

    def search(self) -> tuple[list[dict[str, Any]], list[float], list[Float]]:
        """Try all looks; return what is known of each, the seconds each took, and each picture."""
        target = self.small.target
        trial = FaceTrial(target.picture, target.points, target.may, bool(self.step.faces.get("picture")), self._trials)
        judges = {judge.scores: judge.about(trial) for judge in self.judges}
        journal = self.services.journal(self._key())

        def evaluate(look: Look) -> _Tried:
            start = time.perf_counter()
            name = json.dumps(look.to_json())
            if name in journal.known:  # of a run that was killed
                return _Tried.known(journal.known[name], self.made(self.small, look)[0])
            picture, alpha = self.made(self.small, look)
            scores = {name: judges[name](picture, alpha) for name in JUDGES}
            value = round(potential(scores, self.step.weights), 4)
            found = _Tried(value, scores, picture, round(time.perf_counter() - start, 3))
            journal.add(name, found.to_json())
            return found

        step = self.step
        share = 0.0 if self.refiner is None else self.refiner.strength
        plan = Plan(step.k_global, step.m_global, step.k_local, self.services.seed, share)
        tried: list[dict[str, Any]] = []
        seconds: list[float] = []
        pictures: list[Float] = []
        pool = ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)))
        try:
            for made in search(evaluate, plan, pool):
                result: _Tried = made.result
                tried.append(
                    {
                        "number": made.number,
                        "stage": made.stage,
                        "parent": made.parent,
                        "look": made.look.to_json(),
                        "scores": {n: result.scores[n].value for n in JUDGES},
                        "numbers": {k: v for n in JUDGES for k, v in result.scores[n].numbers.items()},
                        "potential": result.potential,
                        "missing": {n: s.why for n, s in result.scores.items() if s.missing},
                    }
                )
                seconds.append(result.seconds)
                pictures.append(result.picture)
                self.services.progress(step.name, made.number + 1, plan.count)
        finally:
            pool.shutdown(cancel_futures=True)  # a job that was cancelled tries no more
        journal.finish()
        return tried, seconds, pictures

    def _key(self) -> str:
        """Return a digest of all that decides what a candidate scores."""
        pictures = [self.canvas.image, *self.canvas.inputs.values()]
        facts = [__version__, step_params(replace(self.step, candidates=None)), self.services.seed]
        facts += [[i.provider, i.library, *(m.sha256 for m in i.models)] for i in self.infos]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for samples in (*(p.pixels for p in pictures), self._may):
            digest.update(f"{samples.shape} {samples.dtype}".encode())
            digest.update(np.ascontiguousarray(samples).data)
        return digest.hexdigest()

    def made(self, painter: Painter, look: Look) -> tuple[Float, Float]:
        """Return the target with a face on it, refined as often as the look says, and how much of each pixel is new."""
        face, alpha = painter.paint(replace(look, draws=()))
        before = painter.target.picture
        picture = np.asarray(before + alpha[..., None] * (face - before), np.float32)
        if self.refiner is None:
            return picture, alpha
        known = ""
        for number, (seed, share) in enumerate(look.draws, 1):
            known = json.dumps(replace(look, draws=look.draws[:number]).to_json())
            if known not in self._made:
                self._made[known] = self.refiner.refine(picture, alpha, share, seed)
            picture = self._made[known]
        # the edge stays as soft as it was
        return (
            np.asarray(before + alpha[..., None] * (picture - before), np.float32) if look.draws else picture
        ), alpha

    def finished(self, look: Look, label: Sequence[int]) -> tuple[NDArray[Any], Float]:
        """Return the samples of the whole picture, and how much of each pixel is new, both as stored."""
        from tratto.imaging.io import unoriented

        face, alpha = self.made(self.full, look)
        if not look.draws:
            face = self.full.paint(look)[0]
        image, place = self.canvas.image, self.place
        shape = (image.height, image.width) if image.meta.orientation < 5 else (image.width, image.height)
        whole = np.zeros(shape, np.float32)
        whole[place.rows, place.columns] = alpha
        values = upright(image)
        values[place.rows, place.columns] = np.where(alpha[..., None] > 0, face, values[place.rows, place.columns])
        if label:
            draw_label(values, label)
            x, y, width, height = label
            whole[y : y + height, x : x + width] = 1
        turn = image.meta.orientation
        stored = np.ascontiguousarray(unoriented(whole, turn))
        return _blended(image, np.ascontiguousarray(unoriented(values, turn)), stored), stored


def _best(tried: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the best candidate; of equals the earlier."""
    return min(tried, key=lambda c: (-c["potential"], c["number"]))


def _distance(candidate: Mapping[str, Any]) -> float:
    """Return how far a candidate is from the character; where no judge says so, nothing is known against it."""
    return float(candidate["numbers"].get("distance", 0.0))


@dataclass(frozen=True, eq=False)
class _Tried:
    """What is known of one candidate."""

    potential: float
    scores: Mapping[str, Score]
    picture: Float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return all but the picture."""
        scores = {n: [s.value, dict(s.numbers), s.why] for n, s in self.scores.items()}
        return {"potential": self.potential, "scores": scores, "seconds": self.seconds}

    @classmethod
    def known(cls, facts: Mapping[str, Any], picture: Float) -> _Tried:
        """Return what was kept of a candidate."""
        scores = {n: Score(value, numbers, why) for n, (value, numbers, why) in facts["scores"].items()}
        return cls(facts["potential"], scores, picture, facts["seconds"])


def _blended(image: Image, values: Float, alpha: Float) -> NDArray[Any]:
    """Return a picture's samples with new ones mixed in; where there is nothing new they stay as they are."""
    from tratto.imaging.color import srgb_to_linear
    from tratto.imaging.working import from_linear

    out = np.array(image.pixels)
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not rows.size:
        return out
    where = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    share, shown, before = alpha[where], values[where], out[where].astype(np.float32)
    if image.mode is ColorMode.RGB:
        new = from_linear(srgb_to_linear(shown).astype(np.float32), image)
        share = share[..., None]
    else:
        new = (shown @ np.array([0.299, 0.587, 0.114], np.float32)) * np.float32(image.max_value)
    mixed = np.clip(np.rint(before + share * (new - before)), 0, image.max_value)
    out[where] = np.where(share > 0, mixed, before).astype(out.dtype)
    return out


def _box(numbers: Sequence[float]) -> FaceBox:
    if len(numbers) != 9:
        raise OptionError(f"a face is nine numbers, box, score and eyes; got {len(numbers)}")
    x0, y0, x1, y1, score, ax, ay, bx, by = (float(v) for v in numbers)
    return FaceBox((x0, y0, x1, y1), score, ((ax, ay), (bx, by)))


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ends.get(number % 10, 'th')}"


def _sheet(pictures: Sequence[Float], candidates: Sequence[Mapping[str, Any]], winner: int) -> NDArray[np.uint8]:
    """Lay all candidates side by side, with their scores; the winner has a frame."""
    import cv2

    columns = min(7, len(pictures))
    height = max(1, round(THUMB * pictures[0].shape[0] / pictures[0].shape[1]))
    words = 46
    rows = -(-len(pictures) // columns)
    out = np.full((rows * (height + words), columns * THUMB, 3), 24, np.uint8)
    for i, (picture, known) in enumerate(zip(pictures, candidates, strict=True)):
        small = cv2.resize(picture, (THUMB, height), interpolation=cv2.INTER_AREA)
        y, x = i // columns * (height + words), i % columns * THUMB
        out[y : y + height, x : x + THUMB] = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
        stage = known["stage"] + ("" if known["parent"] is None else f" of {known['parent']}")
        lines = [
            f"{i} {stage}  {known['potential']:.1f}" + ("  WINNER" if i == winner else ""),
            "  ".join(f"{n[:3]} {'none' if s is None else format(s, '.1f')}" for n, s in known["scores"].items()),
        ]
        for k, line in enumerate(lines):
            place = (x + 6, y + height + 18 + 19 * k)
            cv2.putText(out, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
        if i == winner:
            cv2.rectangle(out, (x + 1, y + 1), (x + THUMB - 2, y + height + words - 2), (90, 220, 120), 2)
    return out
