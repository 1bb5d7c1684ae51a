"""Judges on other machines, asked over REST: Gemini for realism, Moondream for identity.

Pictures leave this machine, so that they are only asked where somebody names them. Keys come from the environment
(:data:`SERVICES`) and are never written: not into receipts, logs or errors. Whatever goes wrong with one picture makes
its score missing, and says why.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, FaceJudge, FaceTrial, Score
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import Request, row_of

Picture = NDArray[np.float32]
#: Largest side of a picture that is sent, and most bytes of an answer that are read.
SIDE, LARGEST = 512, 1 << 20
#: How often a picture is asked for where the service is busy, and seconds before the second time.
TRIES, PAUSE = 3, 1.0
#: Answers after which asking again may help.
BUSY = (429, 500, 502, 503, 504)
#: What a face that is given away at once scores at most.
FATAL = 3.0


@dataclass(frozen=True)
class Service:
    """A service that judges.

    Attributes
    ----------
    scores : str
        What it judges.
    url : str
        Where it is, unless the user says otherwise.
    key : str
        The variable of the environment that holds the key.
    header : str
        That carries it.
    models : tuple of str
        Asked in this order: what is not there is passed over.
    """

    scores: str
    url: str
    key: str
    header: str
    models: tuple[str, ...]


SERVICES = {
    "gemini": Service(
        "realism",
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        "x-goog-api-key",
        ("gemini-2.5-flash", "gemini-2.0-flash"),
    ),
    "moondream": Service(
        "identity", "https://api.moondream.ai", "MOONDREAM_API_KEY", "X-Moondream-Auth", ("moondream",)
    ),
}
RUBRIC = (
    "You judge whether the face in this picture is a photograph. Be strict. Look for a computer-graphics look, a "
    "painted look, plastic skin without pores, and artefacts: doubled or broken features, seams at the edge of the "
    "face, blotches, light or skin of another tone than the neck and the hands. 10 is an untouched photograph, 5 is "
    "doubtful, 0 is obviously false. Anything that gives the picture away at first sight is fatal."
)
SCHEMA = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 10},
        **{flaw: {"type": "boolean"} for flaw in ("cgi_look", "painted_look", "plastic_skin", "artefacts", "fatal")},
    },
    "required": ["score", "cgi_look", "painted_look", "plastic_skin", "artefacts", "fatal"],
}
QUESTION = (
    "Two faces are shown side by side. How alike are they as persons, apart from light, hair and expression? Answer "
    "with one number from 0 (certainly two people) to 10 (certainly one person), and nothing else."
)
_NUMBER = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*(?:/\s*10)?\s*\.?\s*")


def missing(request: Request) -> UnavailableError | None:
    """Return why the service cannot be asked, or None."""
    service = SERVICES[request.variant]
    if os.environ.get(service.key, "").strip():
        return None
    return UnavailableError(f"{request.provider} needs a key in the environment; run: export {service.key}=...")


def settle(request: Request) -> dict[str, Any]:
    """Check what is asked for; the address becomes part of the recipe, so that a receipt says where pictures went."""
    service, row = SERVICES[request.variant], row_of(request.use)
    for name, value in request.params.items():
        if name not in row.params:
            raise OptionError(f"{request.provider} has no parameter {name!r}; it takes {', '.join(row.params)}")
        row.params[name].check(request.provider, name, value)
    url = str(request.params.get("url", service.url)).rstrip("/")
    _address(url, request.provider)
    models = [m.strip() for m in str(request.params.get("models", ",".join(service.models))).split(",") if m.strip()]
    if not models or not all(re.fullmatch(r"[A-Za-z0-9._-]{1,100}", m) for m in models):
        raise OptionError(f"{request.provider}: models are names with commas between them, got {models}")
    error = missing(request)
    if error is not None:
        raise error
    return {"models": ",".join(models), "url": url, "timeout": float(request.params.get("timeout", 60.0))}


def open(request: Request) -> FaceJudge:
    """Open a judge; nothing is sent before it is asked."""
    params = settle(request)
    asks = Asking(request.variant, params)
    return Gemini(asks) if request.variant == "gemini" else Moondream(asks)


def told(provider: str, params: Mapping[str, Any], candidates: int = 0) -> str:
    """Return what a user is told before anything is sent; 0 candidates: how many is not known yet."""
    service = SERVICES[provider]
    host = urlsplit(str(params.get("url", service.url))).netloc
    what = (
        "the face of each candidate" if service.scores == "realism" else "the character's face beside each candidate's"
    )
    many = f" ({candidates} candidates)" if candidates else ""
    return f"{what}, cut out of the scene, is sent to {host}{many}, which judges {service.scores}"


def _address(url: str, provider: str) -> SplitResult:
    """Return the parts of an address.

    Raises
    ------
    OptionError
        If it is none over which a key may go.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        raise OptionError(f"{provider}: url is no address ({e})") from e
    here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise OptionError(f"{provider}: url must be an address such as https://host/path, got one of {parts.scheme!r}")
    if parts.scheme == "http" and not here:
        raise OptionError(f"{provider}: a key goes over https only, or to this machine; the url is http")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise OptionError(f"{provider}: the url holds a user or a query; the key belongs into the environment")
    return parts


class _Failed(Exception):
    """Why an answer is missing, in words that hold nothing of the request."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Asking:
    """Asks one service, model after model, and again where it is busy.

    Parameters
    ----------
    name : str
        A key of :data:`SERVICES`.
    params : mapping
        As :func:`settle` gave them.
    """

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        self.name, self.service = name, SERVICES[name]
        self.models, self._timeout = str(params["models"]).split(","), float(params["timeout"])
        self._url = _address(str(params["url"]), name)
        self._lock, self._refused = threading.Lock(), ""
        #: Where pictures go.
        self.host = self._url.netloc

    def ask(
        self, path: Callable[[str], str], body: Callable[[str], Any], read: Callable[[Any], Any]
    ) -> tuple[Any, str]:
        """Return what was read of the first model's answer, and that model.

        Raises
        ------
        _Failed
            If none of the models answers, or the service refuses.
        """
        for model in list(self.models):
            if self._refused:
                raise _Failed(self._refused)
            try:
                return read(self._asked(path(model), json.dumps(body(model)).encode())), model
            except _Failed as e:
                if e.status in (401, 403):  # the same for every picture
                    self._refused = str(e)
                if e.status != 404:
                    raise
                with self._lock:  # not there: not asked again
                    if model in self.models:
                        self.models.remove(model)
        raise _Failed("none of its models is there")

    def _asked(self, path: str, body: bytes) -> Any:
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(path, body)
            except _Failed as e:
                if e.status not in BUSY or attempt == TRIES:
                    raise
                time.sleep(PAUSE * attempt)
        raise _Failed("it was not asked")

    def _once(self, path: str, body: bytes) -> Any:
        """Ask once. Redirects are not followed: they would take the key elsewhere."""
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(cast(str, self._url.hostname), self._url.port, timeout=self._timeout)
        key = os.environ.get(self.service.key, "").strip()
        headers = {"Content-Type": "application/json", "User-Agent": "tratto", self.service.header: key}
        try:
            connection.request("POST", self._url.path + path, body, headers)
            answer = connection.getresponse()
            data = answer.read(LARGEST + 1)
        except TimeoutError as e:
            raise _Failed(f"no answer in {self._timeout:g} s") from e
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise _Failed(f"it cannot be reached ({type(e).__name__})") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise _Failed(f"it answers with the status {answer.status}", answer.status)
        try:
            if len(data) > LARGEST:
                raise ValueError
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _Failed("its answer is no JSON, or too long") from None


class _Remote:
    """What both judges share."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.scores = asking.service.scores
        self._answered = ""

    @property
    def info(self) -> DescriberInfo:
        """Facts about it: which model answered, and where."""
        model = self._answered or self._asking.models[0]
        return DescriberInfo(self._asking.name, precision="unknown", library=f"{model} at {self._asking.host}")

    def _score(self, ask: Callable[[], Score]) -> Score:
        try:
            return ask()
        except _Failed as e:
            return Score(None, why=f"{self._asking.name}: {e}")


class Gemini(_Remote):
    """Realism by a strict rubric, with an answer of fixed form; see :class:`tratto.core.capability.FaceJudge`."""

    def about(self, trial: FaceTrial) -> Callable[[Picture, Picture], Score]:
        """Return what judges candidates."""
        return lambda picture, alpha: self._score(lambda: self._asked(picture))

    def _asked(self, picture: Picture) -> Score:
        part = {"inline_data": {"mime_type": "image/png", "data": _png(picture)}}
        body = {
            "contents": [{"role": "user", "parts": [{"text": RUBRIC}, part]}],
            "generationConfig": {
                "temperature": 0,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            },
        }
        answer, self._answered = self._asking.ask(
            lambda model: f"/models/{quote(model)}:generateContent", lambda model: body, _gemini_answer
        )
        flaws = {name: float(answer[name]) for name in SCHEMA["required"] if name != "score"}
        value = min(float(answer["score"]), FATAL) if answer["fatal"] else float(answer["score"])
        return Score(round(value, 4), flaws)


def _gemini_answer(answer: Any) -> dict[str, Any]:
    """Return what Gemini says; blocked, empty or of another form is missing."""
    try:
        if answer.get("promptFeedback", {}).get("blockReason"):
            raise _Failed("it refused the picture")
        first = answer["candidates"][0]
        if first.get("finishReason", "STOP") != "STOP":
            raise _Failed("it broke off its answer")
        said = json.loads("".join(p.get("text", "") for p in first["content"]["parts"]))
        right = set(SCHEMA["required"]) <= set(said) and isinstance(said["score"], int | float)
        if not right or isinstance(said["score"], bool) or not 0 <= said["score"] <= 10:
            raise ValueError
        if any(not isinstance(said[n], bool) for n in SCHEMA["required"] if n != "score"):
            raise ValueError
        return cast(dict[str, Any], said)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError):
        raise _Failed("its answer is not of the form asked for") from None


class Moondream(_Remote):
    """Identity: both faces side by side, one way and the other, averaged."""

    def about(self, trial: FaceTrial) -> Callable[[Picture, Picture], Score]:
        """Return what judges candidates."""
        character, found = trial.characters[0]
        one = _square(character, found.points)

        def judge(picture: Picture, alpha: Picture) -> Score:
            other = _square(picture, trial.points)
            return self._score(lambda: self._both(one, other))

        return judge

    def _both(self, one: Picture, other: Picture) -> Score:
        values = []
        for left, right in ((one, other), (other, one)):
            image = f"data:image/png;base64,{_png(np.concatenate([left, right], axis=1))}"
            body = {"image_url": image, "question": QUESTION, "stream": False}
            value, self._answered = self._asking.ask(lambda model: "/v1/query", lambda model: body, _moondream_answer)  # noqa: B023
            values.append(value)
        return Score(round(sum(values) / 2, 4), {"one_way": values[0], "other_way": values[1]})


def _moondream_answer(answer: Any) -> float:
    """Return the number that Moondream answers with."""
    said = answer.get("answer") if isinstance(answer, dict) else None
    found = _NUMBER.fullmatch(said) if isinstance(said, str) else None
    if found is None or not 0 <= float(found[1]) <= 10:
        raise _Failed("its answer is no number from 0 to 10")
    return float(found[1])


def _square(picture: Picture, points: NDArray[np.float64]) -> Picture:
    """Cut a face out upright, SIDE pixels wide and high at most."""
    from tratto.faces import align, mesh

    low, high = points[:, :2].min(0), points[:, :2].max(0)
    span = 1.5 * float((high - low).max())
    turn = float(np.radians(mesh.pose(points)[2]))
    return align.cut(picture, align.upright((low + high) / 2, span, turn, SIDE // 2), SIDE // 2)


def _png(picture: Picture) -> str:
    """Return a picture as PNG in base64, made smaller where it is larger than SIDE; nothing but pixels is in it."""
    import cv2

    scale = min(1.0, SIDE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = picture if scale == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    samples = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    _, data = cv2.imencode(".png", np.ascontiguousarray(samples))
    return base64.b64encode(data.tobytes()).decode()
