"""The one loop of training steps: what every run does between its first step and its last.

A run brings a :class:`Course`: its parts, and the few functions in which kinds of runs differ. Micro-batches depend on
their number alone and checkpoints hold every state that influences a step, so a run that was killed goes on with the
same losses.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor

from tratto.core.errors import TrattoError
from tratto_lab.training.config import Run
from tratto_lab.training.lora_config import LoraRun
from tratto_lab.training.run_files import append_row, forget_after

log = logging.getLogger(__name__)

T = TypeVar("T")


class NotFinite(TrattoError):
    """A loss or gradient stopped being a number; the message names the samples of that step."""


@dataclass(frozen=True)
class Course(Generic[T]):
    """One run as the loop sees it.

    Attributes
    ----------
    pace : Run or LoraRun
        Micro-batches a step, and every how many steps it says and keeps what.
    accelerator : Accelerator
        Devices and processes.
    model, optimizer : Any
        As the accelerator prepared them. A group's rate is ``rate(step)`` times its ``"share"``.
    clip : float
        Largest norm of the gradient.
    steps : int
        Of the whole run.
    loss : callable
        Of a micro-batch, with its step and its number in the step.
    rate : callable
        Learning rate of a step.
    save : callable
        Writes a checkpoint after so many steps. Only the main process saves and checks.
    check : callable
        Looks at held-out samples after so many steps; returns what is logged of it, or None.
    checked : callable
        Whether an earlier call did so, beside what is in the log.
    moved : callable
        Called after each step, which is counted from 0.
    board : SummaryWriter or None
        Is shown losses and rates.
    """

    pace: Run | LoraRun
    accelerator: Accelerator
    model: Any
    optimizer: Any
    clip: float
    steps: int
    loss: Callable[[T, tuple[int, int]], Tensor]
    rate: Callable[[int], float]
    save: Callable[[int], None]
    check: Callable[[int], Mapping[str, float] | None]
    checked: Callable[[int], bool] = lambda step: False
    moved: Callable[[int], None] = lambda step: None
    board: Any = None

    def due(self, step: int) -> bool:
        """Return whether there is a check after so many steps."""
        return step > 0 and (step % self.pace.check_every == 0 or step == self.steps)


def take_steps(
    course: Course[T], batches: Iterable[tuple[T, list[str]]], folder: Path, first: int, stop_after: int | None
) -> None:
    """Take the steps of a run from ``first`` on.

    Parameters
    ----------
    course : Course
        The run.
    batches : iterable of (batch, list of str)
        Micro-batches from that of the first step on, with the names of their samples.
    folder : Path
        Receives ``log.jsonl``; lines of steps from ``first`` on are written anew.
    first : int
        Steps that were taken before.
    stop_after : int or None
        Stop (as if killed, but with a checkpoint) after this many steps.

    Raises
    ------
    NotFinite
        If a loss or gradient is no number; the samples are named.
    """
    pace, accelerator, optimizer = course.pace, course.accelerator, course.optimizer
    history, main = folder / "log.jsonl", accelerator.is_main_process
    last = course.steps if stop_after is None else min(course.steps, first + stop_after)
    moving = [p for group in optimizer.param_groups for p in group["params"]]

    def check(step: int) -> None:
        found = course.check(step)
        if found is not None:
            append_row(history, {"step": step, "check": found})
            log.info("step %d, held out: %s", step, ", ".join(f"{k} {v:g}" for k, v in found.items()))

    if main:
        known = forget_after(history, first)
        if course.due(first) and first not in known and not course.checked(first):
            check(first)  # it was killed between the checkpoint and the check
    total = torch.zeros((), device=accelerator.device)
    since, spent, counted = time.monotonic(), time.process_time(), 0
    numbers = range(first * pace.accumulate, last * pace.accumulate)
    parts: list[Tensor] = []
    names: list[str] = []
    for number, (batch, named) in zip(numbers, batches, strict=False):  # a loader would go on to the end of the run
        step, micro = divmod(number, pace.accumulate)
        names += named
        rate = course.rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        with accelerator.accumulate(course.model):
            loss = course.loss(batch, (step, micro))
            accelerator.backward(loss)
            parts.append(loss.detach())
            if not accelerator.sync_gradients:
                continue
            norm = accelerator.clip_grad_norm_(moving, course.clip)
            mean = torch.stack(parts).mean()
            _check_finite(mean, norm, (step, names), accelerator)
            optimizer.step()
            optimizer.zero_grad()
        total = total + accelerator.reduce(mean, "mean")
        course.moved(step)
        counted, parts, names = counted + 1, [], []
        done = step + 1
        if not main:
            continue
        if done % pace.log_every == 0 or done == last:
            now = time.monotonic()
            row = {"step": done, "loss": total.item() / counted, "lr": rate, "steps_per_s": counted / (now - since)}
            row["cpu_s"] = round(time.process_time() - spent, 1)  # since the line before: other work does not count
            append_row(history, row)
            log.info("step %d of %d: loss %.5g, %.2f steps/s", done, course.steps, row["loss"], row["steps_per_s"])
            if course.board is not None:
                course.board.add_scalar("loss", row["loss"], done)
                course.board.add_scalar("learning rate", rate, done)
            total, since, spent, counted = torch.zeros_like(total), now, time.process_time(), 0
        if done % pace.save_every == 0 or done == last:
            course.save(done)
        if course.due(done):
            check(done)
            since, counted, total = time.monotonic(), 0, torch.zeros_like(total)


def _check_finite(mean: Tensor, norm: Any, at: tuple[int, list[str]], accelerator: Accelerator) -> None:
    """Stop at a loss that is no number. In half precision a gradient may overflow: the scaler skips that step."""
    scaled = getattr(accelerator, "scaler", None) is not None
    if torch.isfinite(mean) and (scaled or torch.isfinite(torch.as_tensor(norm))):
        return
    step, names = at
    raise NotFinite(
        f"step {step}: loss {mean.item()}, gradient norm {float(norm)}; samples: {'; '.join(names)}. "
        "Lower the learning rate or look at these samples."
    )
