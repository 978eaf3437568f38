"""What a terminal shows while a command works: bars with their rate and the time left, or else that it works."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from stages.runtime.progress import Advance

# A bar that vanishes at once is noise; one that comes late is a worry.
_SECONDS_BEFORE_IT_SHOWS = 1.0
_SECONDS_BEFORE_IT_SAYS_THAT_IT_WORKS = 2.0
# Below this width, words are worth more than a bar.
_NARROW = 60


class Display:
    """One place at the bottom of a terminal; closed before anything else is printed there."""

    def __init__(self, console: Console) -> None:
        self._bars = _Bars(console)
        # By a timer, not at the first advance: that may be long in coming.
        self._timer = threading.Timer(_SECONDS_BEFORE_IT_SHOWS, self._bars.start)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._timer.cancel()
        self._timer.join()
        self._bars.stop()

    @contextmanager
    def task(self, title: str, total: float | None) -> Iterator[Advance]:
        """One bar; a task within a task is a line below it."""
        task = self._bars.add_task(title, total=total, values="")

        def advance(amount: float = 1, /, **values: float | str) -> None:
            shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
            if shown:
                self._bars.update(task, values=shown)
            self._bars.advance(task, amount)

        try:
            yield advance
        finally:
            self._bars.remove_task(task)


class _Bars(Progress):
    def __init__(self, console: Console) -> None:
        self._idle_since = time.monotonic()
        width = console.width
        bar = () if width < _NARROW else (BarColumn(bar_width=min(40, width - _NARROW + 10)),)
        # Standard output may be a file: what is printed there is no business of a terminal's.
        super().__init__(
            TextColumn("{task.description}", markup=False),
            *bar,
            _Pace(),
            console=console,
            transient=True,
            redirect_stdout=False,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars; without one for a while, that the command works."""
        if self.tasks:
            self._idle_since = time.monotonic()
            yield self.make_tasks_table(self.tasks)
        elif (idle := time.monotonic() - self._idle_since) > _SECONDS_BEFORE_IT_SAYS_THAT_IT_WORKS:
            yield Text(f"working  {clock(idle)}")


class _Pace(ProgressColumn):
    """How far a task is, how fast, how long it will take, and what it tells of itself; no colours, which light ones hide."""

    def render(self, task: Task) -> Text:
        count = f"{task.completed:.0f}" + ("" if task.total is None else f"/{task.total:.0f}")
        left = task.time_remaining
        when = f"{clock(task.elapsed or 0)}" if left is None else f"{clock(left)} left"
        parts = [count, when, pace(task.speed), str(task.fields["values"])]
        return Text("  ".join(part for part in parts if part), no_wrap=True, overflow="crop")


def pace(per_s: float | None) -> str:
    """A rate as "120/s", "2.5/s" or, where one takes long, "8.0 s each"."""
    if not per_s:
        return ""
    if per_s < 1:
        return f"{clock(1 / per_s)} each" if per_s < 1 / 60 else f"{1 / per_s:.1f} s each"
    return f"{per_s:.0f}/s" if per_s >= 10 else f"{per_s:.1f}/s"


def clock(seconds: float) -> str:
    """Seconds as "0:07" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
