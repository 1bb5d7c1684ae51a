"""Plan to put a character's face in a scene: from options and an inspection to a recipe, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tratto.core.errors import OptionError
from tratto.core.inspection import Inspection
from tratto.core.options import (
    CLI,
    LARGEST_SEED,
    NAME,
    PARAMETERS,
    SDK,
    BadOptions,
    Need,
    TaskOptions,
    option,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tratto.core.image import Image
    from tratto.core.recipe import Recipe
    from tratto.core.services import Services
    from tratto.faces.find import Face
    from tratto.tasks.prepared import Given, Prepared

#: Role of the pictures of the character; the second is ``character-2``.
CHARACTER = "character"
MOST = 8
#: Role of a picture of whoever's face in the scene is to be replaced, and how far that face may be from it.
LIKE, ALIKE = "face_like", 0.6
REFUSED = (
    "reface works on nobody's face without consent: {consent} NAME states, in your name and sealed into the receipt, "
    "that everybody whose face is used or replaced is an adult and agrees, also where it is your own"
)
STATED = (
    "I state that everybody whose face is used or replaced here is an adult and has agreed to it. Nobody checked this: "
    "no age and no identity."
)
#: JSON schema of a person's name.
PERSON = {"pattern": "\\S", "maxLength": 200}
#: Who found the face, as a mask states it, and how probable it had to be.
LEAST = 0.5


#: A name, or nothing.
NAMED = {"pattern": "^([A-Za-z0-9][A-Za-z0-9_-]*)?$", "maxLength": 100}


class RefaceOptions(TaskOptions):
    """What a user may ask of ``reface``, validated."""

    needs = (
        Need("face-swap", provider="engine"),
        Need("face-refiner", provider="refiner", params="refiner_params", unless=("",)),
    )
    no_evidence = "a face that was put in is not"
    consent: str = option(
        "", "Who states that everybody shown is an adult and consents; sealed into the receipt. Needed.",
        "--i-have-consent", metavar="NAME", max_length=200, http=PERSON,
    )  # fmt: skip
    face: int = option(1, "Which face of the scene, by its number; 1 is the largest. See tratto faces.", ge=1, le=1000)
    engine: str = option("warp", "Face engine; see tratto models.", http=NAME)
    params: dict[str, Any] = option(
        {}, "Parameters of the face engine, such as model=FILE.onnx.", "--param", doors=(CLI, SDK), **PARAMETERS
    )
    refiner: str = option(
        "", "Refine each candidate by a diffusion model, which invents what it paints: qwen.", http=NAMED
    )
    refiner_params: dict[str, Any] = option(
        {}, "Parameters of {refiner}, such as model=FOLDER.", "--refiner-param", doors=(CLI, SDK), **PARAMETERS
    )
    scorer: tuple[str, ...] = option(
        (), "Ask a service to judge, which sends faces there: gemini (realism) or moondream (identity). A server asks "
        "only those that its owner named.",
        parse=str, collect=tuple, expected="gemini, moondream or both", metavar="NAME", http=NAME,
    )  # fmt: skip
    scorer_params: dict[str, Any] = option(
        {}, "Parameters of {scorer}, such as gemini.models=NAME,OTHER or moondream.url=https://HOST.", "--scorer-param",
        doors=(CLI, SDK), **PARAMETERS,
    )  # fmt: skip
    glasses: Literal["auto", "keep", "replace"] = option(
        "auto",
        "Glasses of the scene: keep their frame, replace it with the face, or keep it where the likeness allows.",
    )
    label: bool = option(False, "Draw a visible label: synthetic face.")
    seed: int = option(0, "Seed of the search.", ge=0, le=LARGEST_SEED)
    k_global: int = option(8, "Candidates tried all over, beside the plain warp.", ge=0, le=48)
    m_global: int = option(3, "How many of the best are refined.", ge=0, le=8)
    k_local: int = option(4, "Candidates tried near each of those.", ge=0, le=16)
    draft: int = option(224, "Width of the face at which candidates are tried; less is quicker.", ge=64, le=512)
    consistency: float = option(1.0, "Weight of how well it fits into the scene.", ge=0, le=100)
    realism: float = option(4.0, "Weight of how real it looks.", ge=0, le=100)
    identity: float = option(1.5, "Weight of how like the character it is.", ge=0, le=100)
    places: dict[str, Any] = option(
        {}, "The faces that were found, by role; follows from the pictures.", doors=(), expected="faces by role"
    )
    signs: tuple[int, ...] = option((), "Where the label lies; follows from the picture.", doors=(), expected="a box")

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse to work without consent, and with too many pictures."""
        if not self.consent.strip():
            raise BadOptions(REFUSED)
        self.judging()
        if inputs.get(LIKE) is not None and self.face != 1:
            raise BadOptions("{face_like} and {face} both say which face of the scene; give one of them")
        given = inputs.get(CHARACTER)
        if isinstance(given, list | tuple) and len(given) > MOST:
            raise BadOptions(f"{{character}}: up to {MOST} pictures of the character, got {len(given)}")

    def judging(self) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Return who judges each respect, and what each takes.

        Raises
        ------
        BadOptions
            If there is no such service, or parameters name none that is asked.
        """
        from tratto.providers.remote_judge import SERVICES
        from tratto.steps.reface import EMBEDDED

        if strange := [name for name in self.scorer if name not in SERVICES]:
            raise BadOptions(f"{{scorer}}: {' or '.join(SERVICES)}, got {', '.join(strange)[:100]}")
        taken: dict[str, dict[str, Any]] = {}
        for name, value in self.scorer_params.items():
            service, _, key = name.partition(".")
            if service not in self.scorer or not key:
                raise BadOptions(
                    f"{{scorer_params}}: {name[:60]} must be NAME.PARAMETER with a NAME that {{scorer}} asks: "
                    f"{', '.join(self.scorer) or 'none'}"
                )
            taken.setdefault(service, {})[key] = value
        return {**EMBEDDED, **{SERVICES[name].scores: name for name in self.scorer}}, taken

    def needed(self) -> tuple[dict[str, Any], ...]:
        """Return what must be ready here: also the services that judge, with their keys."""
        taken = self.judging()[1]
        asked = ({"capability": "face-judge", "provider": n, "params": taken.get(n, {})} for n in self.scorer)
        return (*super().needed(), *asked)

    @property
    def sends(self) -> tuple[str, ...]:
        """What goes to which service."""
        from tratto.faces.search import Plan
        from tratto.providers.remote_judge import told

        count, taken = Plan(self.k_global, self.m_global, self.k_local).count, self.judging()[1]
        return tuple(told(name, taken.get(name, {}), count) for name in self.scorer)


def prepare(options: RefaceOptions, image: Image, given: Given, services: Services) -> Prepared:
    """Find the faces, and where the scene's may be painted.

    Raises
    ------
    OptionError
        If there is no consent, no character, no such face, or no face and no mask.
    """
    import numpy as np

    from tratto.core.capability import Use
    from tratto.core.image import Mask
    from tratto.core.result import MaskParts
    from tratto.faces.find import faces_of
    from tratto.faces.place import face_mask, label_box, upright
    from tratto.imaging.io import oriented, unoriented
    from tratto.imaging.opening import in_16_bits, open_inputs, open_mask
    from tratto.tasks.prepared import Prepared

    options.check(given.inputs)
    if given.inputs.get(CHARACTER) is None:
        raise OptionError("reface needs a picture of the character: give --character PICTURE")
    drawn: Mask | None = None
    if given.inputs.get("mask") is not None:
        drawn = open_mask(given.inputs["mask"], image, given.limits)
    inputs = open_inputs({CHARACTER: given.inputs[CHARACTER]}, given.limits)
    places: dict[str, list[float]] = {}
    notes: list[str] = []
    for role, picture in inputs.items():
        portrait = upright(picture.image)
        found = faces_of(portrait, services)
        if not found:
            raise OptionError(f"no face was found in the picture of the {role}; give one that shows it from the front")
        places[role] = _numbers(found[0])
        if face_mask(portrait, found[0].mesh.points)[2]:
            notes.append(f"glasses were seen in the picture of the {role}, and come out badly; give one without them")
    scene, turn = upright(image), image.meta.orientation
    area: NDArray[np.bool_] | None = None if drawn is None else np.asarray(oriented(drawn.values, turn) > 0.5)
    parts = MaskParts()
    faces = faces_of(scene, services)
    if faces:
        if options.face > len(faces):
            raise OptionError(f"--face {options.face}: the scene has {len(faces)}, see tratto faces")
        like = given.inputs.get(LIKE)
        chosen = faces[options.face - 1] if like is None else _nearest(faces, like, given, services, notes)
        places["picture"] = _numbers(chosen)
        area, held, _ = face_mask(scene, chosen.mesh.points, area, options.glasses != "keep")
        if held > 0.4:
            notes.append(f"{100 * held:.0f} % of the face lies behind hair or something else and is kept as it is")
        points: Use[Any] = Use("landmarks")
        info = services.open(points).info
        found_by = {
            "provider": info.provider,
            "library": info.library,
            "models": [m.to_json() for m in info.models],
            "threshold": LEAST,
        }
        parts = MaskParts(found_by=found_by) if drawn is None else parts
    elif area is None:
        raise OptionError("no face was found in the scene; draw where it is to be and give it with --mask")
    if len(faces) > 1:
        number = 1 + [f is chosen for f in faces].index(True)
        notes.append(f"the scene has {len(faces)} faces; number {number} was replaced (--face, --face-like)")
    signs: list[int] = []
    if options.label:
        signs = label_box((scene.shape[0], scene.shape[1]))
        x, y, width, height = signs
        area = area.copy()
        area[y : y + height, x : x + width] = True
    stored = np.ascontiguousarray(unoriented(area.astype(np.float32), turn))
    # a recipe keeps hashes of files, never paths
    params = dict(services.settle(Use("face-swap", options.engine, options.params)).params)
    refining = {}
    if options.refiner:
        refining = dict(services.settle(Use("face-refiner", options.refiner, options.refiner_params)).params)
    found_here = {"places": places, "signs": tuple(signs), "params": params, "refiner_params": refining}
    settled = options.model_copy(update=found_here)
    stated = {"kind": "consent", "by": options.consent.strip(), "text": STATED}
    return Prepared(settled, in_16_bits(stored), parts, tuple(notes), inputs, statements=(stated,))


def _nearest(faces: Sequence[Face], like: Any, given: Given, services: Services, notes: list[str]) -> Face:
    """Return the face of a scene that is nearest to the largest one of a reference picture."""
    from tratto.faces.find import distance, faces_of
    from tratto.faces.place import upright
    from tratto.imaging.opening import open_inputs

    seen = faces_of(upright(open_inputs({LIKE: like}, given.limits)[LIKE].image), services)
    if not seen:
        raise OptionError("no face was found in the picture of --face-like; give one that shows it from the front")
    apart = [distance(seen[0], f) for f in faces]
    found = min(range(len(faces)), key=apart.__getitem__)
    if apart[found] > ALIKE:
        raise OptionError(
            f"nobody in the scene is like the picture of --face-like: the nearest face, number {found + 1}, is "
            f"{apart[found]:.2f} away, and {ALIKE:g} is the most; choose by number with --face"
        )
    notes.append(f"face {found + 1} of the scene is nearest to the reference picture, {apart[found]:.2f} away")
    return faces[found]


def plan(options: RefaceOptions, inspection: Inspection) -> Recipe:
    """Turn options and an inspection into a recipe of one step.

    Parameters
    ----------
    options : RefaceOptions
        Candidates, engine, judges, and the consent that was stated.
    inspection : Inspection
        Not needed: what is measured is the face.

    Returns
    -------
    Recipe
        With the reasons in words.
    """
    from tratto.core.recipe import Recipe
    from tratto.faces.search import Plan
    from tratto.steps.reface import Reface

    tried = Plan(options.k_global, options.m_global, options.k_local).count
    reasons = [
        f"the face of the scene is replaced by the character's, the best of {tried} candidates",
        "the result shows a synthetic face, and is marked as such",
        *options.sends,
    ]
    judges, judging = options.judging()
    step = Reface(
        consent=options.consent.strip(),
        engine=options.engine,
        params=dict(options.params),
        refiner=options.refiner,
        refining=dict(options.refiner_params),
        judges=judges,
        judging=judging,
        faces={role: list(numbers) for role, numbers in options.places.items()},
        k_global=options.k_global,
        m_global=options.m_global,
        k_local=options.k_local,
        draft=options.draft,
        glasses=options.glasses,
        weights={"consistency": options.consistency, "realism": options.realism, "identity": options.identity},
        label=list(options.signs),
    )
    return Recipe("reface", (step,), options.seed, tuple(reasons))


def _numbers(face: Face) -> list[float]:
    """Return where a face is, as a recipe holds it."""
    one, other = face.found.eyes
    return [round(float(v), 2) for v in (*face.found.box, face.found.score, *one, *other)]
