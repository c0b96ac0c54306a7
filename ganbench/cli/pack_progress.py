"""Progress of packing: a bar in a terminal, plain lines in a log."""

from typing import Self

from ganbench.data.packing import PackReport

from .extraction_progress import ExtractionProgress
from .streams import StreamConsole


class RichPackReport(PackReport):
    """Shows the images that are done, their rate and the time left."""

    def __init__(self, console: StreamConsole):
        super().__init__()
        self.console, self.progress = console, ExtractionProgress(console)

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.__exit__(*error)

    def announce(self, text: str) -> None:
        self.console.print_line(text)

    def show(self, phase: str, done: int, total: int) -> None:
        """Updates the view, which counts the images that this process has to pack."""
        _, before = self.began.setdefault(phase, (0.0, done))
        self.progress.show(phase, done - before, total - before)
