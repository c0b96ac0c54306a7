"""The GPU check: whether everything works on one GPU, and how fast it is, stage by stage.

    python studies/gpu.py --device cuda --out results/performance --seconds 230

It writes <GPU>.json after every measurement, the same as tables in <GPU>.md, and the output of all stages
in <GPU>.log. Finished stages are skipped, so the same command goes on where the time of an earlier one
was over. Each stage runs in a process of its own: its failure is recorded, and the next stage runs.
`--device cpu` runs tiny sizes, to check the check.
"""

import argparse
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from gpu_stages.base import ROOT, last_lines

from ganbench.files import (
    append_json_line,
    read_json_lines,
    read_json_or_none,
    write_bytes,
    write_json,
)

STAGE_SECONDS = {  # the longest that a stage may take
    "contract": 110,
    "smoke": 90,
    "steps": 240,
    "graphs": 90,
    "stacked": 60,
    "workers": 120,
    "extraction": 150,
    "bench": 3600,
}
RESUMED = ("steps", "graphs", "stacked")  # stages that keep the rows of an earlier attempt
OPTIONAL = ("bench",)  # runs only if `--stages` names it
MIN_SECONDS = 10  # no stage starts with less
POLL_SECONDS = 0.5
ERROR_LINES = 12
COLUMNS = ("what", "value", "95 % interval", "unit", "note")

Record = dict[str, Any]  # facts, and stages by name


def main() -> None:
    args = parse_arguments()
    path = args.out / f"{args.name or device_slug(args.device)}.json"
    record: Record = read_json_or_none(path) or {"stages": {}}
    record["facts"] = collect_facts(args)
    end = time.monotonic() + args.seconds
    for name in args.stages:
        stage = record["stages"].get(name, {})
        if stage.get("state") == "done" and not args.again:
            continue
        seconds = min(STAGE_SECONDS[name], end - time.monotonic())
        if seconds < MIN_SECONDS:
            print(f"{name}: no time left; the same command goes on here")
            continue
        Stage(name, args.device, seconds, record, path).run(
            [] if args.again else stage.get("rows", [])
        )
    write_record(path, record)
    problems = list_problems(record, args.stages)
    print("\n".join([*problems, f"{path.with_suffix('.md')}"]))
    sys.exit(bool(problems))


def list_problems(record: Record, names: Iterable[str]) -> list[str]:
    """Returns a line for each stage that has not ended, and for each failed check."""
    problems = []
    for name in names:
        stage = record["stages"].get(name, {"state": "not run", "rows": []})
        if stage["state"] != "done":
            problems.append(f"{name}: {stage['state']}")
        failed = [row for row in stage["rows"] if row["note"].startswith("FAILED")]
        problems += [f"{name}: {row['what']}: {row['note']}" for row in failed]
    return problems


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="cpu: tiny sizes")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "performance")
    parser.add_argument("--stages", type=parse_stages, default=default_stages(), help="such as a,b")
    parser.add_argument("--seconds", type=float, default=230, help="for all stages together")
    parser.add_argument("--again", action="store_true", help="measure finished stages again")
    parser.add_argument("--commit", default="", help="of the sources, where there is no git")
    parser.add_argument("--name", default="", help="name of the files; default: the GPU's")
    return parser.parse_args()


def parse_stages(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in STAGE_SECONDS]:
        known = ", ".join(STAGE_SECONDS)
        raise argparse.ArgumentTypeError(f"no stage is called {unknown[0]!r}; stages: {known}")
    return names


def default_stages() -> list[str]:
    return [name for name in STAGE_SECONDS if name not in OPTIONAL]


class Stage:
    """One stage in a process group of its own, whose rows enter the record as they come."""

    def __init__(self, name: str, device: str, seconds: float, record: Record, path: Path):
        self.name, self.device, self.seconds = name, device, seconds
        self.record, self.path = record, path

    def run(self, rows: list[Record]) -> None:
        """Runs the stage to its end, its time limit or its failure; keeps earlier rows."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "rows.jsonl"
            for row in rows if self.name in RESUMED else []:
                if row["value"] is not None:
                    append_json_line(file, **row)
            state, count = "failed", -1
            while state == "failed" and self.can_go_on(count, file, began):
                count = len(read_json_lines(file))
                state = self.run_process(Path(folder), file, self.left(began))
            self.update(state, time.monotonic() - began, file)
        print(f"{self.name}: {state}, {time.monotonic() - began:.0f} s", flush=True)

    def left(self, began: float) -> float:
        return self.seconds - (time.monotonic() - began)

    def can_go_on(self, count: int, file: Path, began: float) -> bool:
        """Returns whether a new process may go on: a broken GPU ends one, and not the next."""
        if count < 0:
            return True
        has_news = self.name in RESUMED and len(read_json_lines(file)) > count
        return has_news and self.left(began) > MIN_SECONDS

    def run_process(self, folder: Path, file: Path, seconds: float) -> str:
        """Runs the stage's process and returns done, failed or timed out."""
        began, count = time.monotonic(), 0
        log = self.path.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"\n== {self.name}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
            output.flush()
            self.start_of_log = output.tell()
            process = subprocess.Popen(
                self.command(folder, file, seconds), cwd=ROOT, env=stage_environment(),
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            while process.poll() is None and time.monotonic() - began < seconds:
                time.sleep(POLL_SECONDS)
                if (now := len(read_json_lines(file))) > count:
                    count = now
                    self.update("running", time.monotonic() - began, file)
            is_late = process.poll() is None
            end_group(process)
        return "timed out" if is_late else "failed" if process.returncode else "done"

    def command(self, folder: Path, file: Path, seconds: float) -> list[str]:
        command = [sys.executable, "-m", "gpu_stages", self.name, "--device", self.device]
        command += ["--seconds", str(seconds), "--rows", str(file), "--folder", str(folder)]
        command += ["--out", str(self.path.parent.absolute())]
        return [*command, *(["--tiny"] if self.device == "cpu" else [])]

    def update(self, state: str, seconds: float, file: Path) -> None:
        """Writes the stage's state and rows into the record's files."""
        rows = [without_time(row) for row in read_json_lines(file)]
        error = self.last_output() if state in ("failed", "timed out") else ""
        stage = {"state": state, "seconds": round(seconds, 1), "rows": rows, "error": error}
        stage |= {name: self.record["facts"][name] for name in ("date", "commit")}
        self.record["stages"][self.name] = stage
        write_record(self.path, self.record)

    def last_output(self) -> str:
        with self.path.with_suffix(".log").open("rb") as log:
            log.seek(self.start_of_log)
            return last_lines(log.read().decode(errors="replace"), ERROR_LINES)


def stage_environment() -> dict[str, str]:
    """Returns the environment of a stage: it imports the sources here, not an installed package."""
    paths = [ROOT, ROOT / "studies", ROOT / "tests"]
    python_path = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a stage's process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def without_time(row: Record) -> Record:
    return {key: value for key, value in row.items() if key != "time"}


# Facts


def collect_facts(args: argparse.Namespace) -> Record:
    """Returns the facts at the head of a record."""
    facts = {
        "command": shlex.join(["python", *sys.argv]),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": args.commit or output_of("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "CPU cores": os.cpu_count(),
    }
    return facts | (gpu_facts() if args.device == "cuda" else {"GPU": "none, a dry run on the CPU"})


def gpu_facts() -> Record:
    properties = torch.cuda.get_device_properties(0)
    query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {
        "GPU": properties.name,
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "compute capability": f"{properties.major}.{properties.minor}",
        "driver": output_of(*query),
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),
    }


def output_of(*command: str) -> str:
    """Returns the first line that a command prints, or an empty text if it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip().partition("\n")[0] if run.returncode == 0 else ""


def device_slug(device: str) -> str:
    """Returns the name of the files: the GPU's name in small letters, or cpu."""
    name = torch.cuda.get_device_name(0) if device == "cuda" else "cpu"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


# Files


def write_record(path: Path, record: Record) -> None:
    write_json(path, record)
    write_bytes(path.with_suffix(".md"), markdown_of(record).encode())


def markdown_of(record: Record) -> str:
    """Returns the record as Markdown: facts, then one table per stage."""
    facts = record["facts"]
    lines = [f"# GPU check: {facts['GPU']}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for name in (name for name in STAGE_SECONDS if name in record["stages"]):
        stage = record["stages"][name]
        lines += [
            "",
            f"## {name}: {stage['state']} after {stage['seconds']:.0f} s, {stage.get('date', '')}",
            "",
        ]
        lines += code_block(stage["error"])
        lines += table_of(stage["rows"])
        for row in stage["rows"]:
            if row["text"] and not row["note"]:
                lines += [f"\n{row['what']}:\n", *code_block(row["text"])]
    return "\n".join(lines).rstrip() + "\n"


def table_of(rows: Iterable[Record]) -> list[str]:
    cells = [COLUMNS, ["---"] * len(COLUMNS), *map(cells_of, rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def cells_of(row: Record) -> list[str]:
    interval = "" if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}"
    cells = [row["what"], number(row["value"]), interval, row["unit"], row["note"]]
    return [text.replace("|", "\\|") for text in cells]


def number(value: float | None) -> str:
    """Formats a number with four digits; large ones get thousands separators."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def code_block(text: str) -> list[str]:
    return ["```", *text.splitlines(), "```", ""] if text else []


if __name__ == "__main__":
    main()
