"""How long work goes and what came of it: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from .show import counted, named, one_line, size

if TYPE_CHECKING:
    from rich.console import Console

    from gguf_py import Tensor
    from kquants.execute import Progress, Summary
    from kquants.plan import Output, Plan

_EVERY = 5.0
"""Seconds between lines where there is no terminal."""


@contextmanager
def reporting(quiet: bool = False, *, stderr: bool = False) -> Iterator[Progress]:
    """Give ``execute`` somebody to tell; a request to terminate ends the run as Ctrl-C does, leaving nothing behind.

    With ``stderr`` that is where it is told, for commands whose answer others read from stdout.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if quiet:
            yield _Silent()
        elif (sys.stderr if stderr else sys.stdout).isatty():
            with _bar(_console(stderr)) as bar:
                yield _OnTerminal(bar)
        else:
            yield _Lines(sys.stderr if stderr else sys.stdout)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def moving(total: int, doing: str, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Give who moves ``total`` bytes somebody to tell of each piece: a bar on stderr, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def checking() -> Iterator[Callable[[Tensor], None]]:
    """Give who checks tensors somebody to tell of each: its name on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda tensor: None
        return
    from rich.text import Text

    with _console(stderr=True).status("checking") as status:
        yield lambda tensor: status.update(Text(f"checking {named(tensor.name)}"))


@contextmanager
def measuring(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Give who measures something over ``total`` windows somebody to tell how many are done, and what came of them."""
    if not sys.stderr.isatty():
        yield lambda done, value: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[value]}"))
    with Progress(*columns, TimeRemainingColumn(), console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, value="")
        yield lambda done, value: bar.update(task, completed=done, value=value)


def _console(stderr: bool) -> Console:
    """A terminal that highlights nothing by itself and takes no markup from what it prints."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class _Silent:
    def note(self, text: str) -> None:
        pass

    def advance(self, weights: int, total: int, tensor: str) -> None:
        pass


class _Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begun: float | None = None
        self._said = 0.0

    def note(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def advance(self, weights: int, total: int, tensor: str) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = self._said = now
        if now - self._said < _EVERY or not weights:
            return
        self._said = now
        rate = weights / (now - self._begun)
        left = (total - weights) / rate
        self.note(f"{weights / total:4.0%}  {named(tensor)}  {rate / 1e6:,.0f} M weights/s, {left:.0f} s left")


def _bar(out: Any) -> Any:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    width = max(12, min(32, out.width - 40))  # of the name, so that a narrow terminal has room for the time left
    return Progress(
        TextColumn(f"{{task.description:{width}.{width}}}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=out,
        transient=True,
    )


class _OnTerminal:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None

    def note(self, text: str) -> None:
        self._bar.console.print(text)

    def advance(self, weights: int, total: int, tensor: str) -> None:
        if self._task is None:
            self._task = self._bar.add_task("", total=total, rate="")
        task = self._bar.tasks[0]
        rate = f"{task.speed / 1e6:,.0f} M weights/s" if task.speed else ""
        self._bar.update(self._task, completed=weights, description=named(tensor), rate=rate)


def described(out: Output) -> str:
    """A file that is written, or would be, in a line."""
    bits = f"{out.bpw:.2f} bits per weight, " if out.items else ""
    return f"{one_line(str(out.path))}: {size(out.layout.size)}, {bits}{counted(len(out.items), 'tensor')}"


def closing(plan: Plan, summary: Summary) -> list[str]:
    """What came of a run, a line for each file and one for the work."""
    lines = [described(out) for out in plan.outputs]
    if not summary.weights:
        return lines
    rate = summary.weights / max(summary.seconds, 1e-9)
    again = f", {summary.skipped:,} of them done before" if summary.skipped else ""
    lines.append(
        f"{summary.weights:,} weights{again}, {size(summary.read)} read, {size(summary.written)} written in "
        f"{summary.seconds:.1f} s ({rate / 1e6:,.0f} M weights/s)"
    )
    return lines
