"""Progress of packing: a bar in a terminal, plain lines in a log."""

from typing import Self

from rich.console import Console

from ganbench.data.packing import PackReport

from .extraction_progress import ExtractionProgress


class RichPackReport(PackReport):
    """Shows the images that are done, their rate and the time left."""

    def __init__(self, console: Console):
        super().__init__()
        self.console, self.progress = console, ExtractionProgress(console)

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.__exit__(*error)

    def announce(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def show(self, phase: str, done: int, total: int) -> None:
        """Updates the view, which counts the images that this process has to pack."""
        _, before = self.began.setdefault(phase, (0.0, done))
        self.progress.show(phase, done - before, total - before)
