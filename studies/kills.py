"""Kills of running suites, and what a repeated command makes of them: results/published/kills.

    .venv/bin/python studies/kills.py --out FOLDER --kills 64
    .venv/bin/python studies/kills.py --out FOLDER --kills 64 --executors ray slurm local

A small suite runs to its end once. Then it is killed at random moments of a chosen phase and the same
command is repeated, or killed again, until it ends with 0. The store must then equal the unbroken one
bit for bit. The study runs a copy of the package, in which checkpoints are written more often.
A study that was interrupted goes on with the rows that it has. For ray and slurm, the study starts a
cluster of this machine alone. Jobs of Slurm outlive their runner by design, so none of them is an orphan.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ganbench.analysis.rows import load
from ganbench.experiments.lease import read_holder
from ganbench.files import append_json_line, read_json, read_json_lines, write_bytes, write_json

ROOT = Path(__file__).parents[1]
SUITE = """\
schema = 1
name = "kills"
data = ["digits", "ring"]
metrics = ["fid"]
seeds = 2
points = 2
[[grid]]
variants = ["gan(width=8)", "dcgan(width=4)"]
[budget.cpu]
images = 6_400
"""
TRIALS = 12  # of the suite
EXECUTORS = {
    "local": "local(workers={workers})",
    "ray": "ray",
    "slurm": "slurm(minutes=30, jobs={workers})",
    "submitit": "slurm(minutes=30, jobs={workers}, cluster='local')",
}
RARE, OFTEN = "MIN_SECONDS_PER_CHECKPOINT = 3.0", "MIN_SECONDS_PER_CHECKPOINT = 0.2"
DRAWN_BY_REPORTS = ("interpolation.png", "neighbours.png", "mixing.png", "truncation.png")
MAX_KILLS_IN_CHAIN = 3
MAX_SECONDS_OF_ORPHANS = 10.0
MAX_SECONDS_OF_RUN = 300.0
MAX_SECONDS_BETWEEN_SIGNALS = 0.5
POLL_SECONDS = 0.01
COLD_EVERY = 3  # chains: such a chain begins with an empty cache of its own
TIMED_COLUMNS = ["seconds"]  # of rows of curves; they differ from run to run

IMPORTS, PLAN, WORKER_IMPORTS = "imports", "plan and floors", "imports of a worker"
TRAINING, CHECKPOINTED = "training, no checkpoint", "training, with a checkpoint"
MEASURING, REPORT, OVER = "measuring", "writing the report", "over"
MAIN, WORKER, GROUP = "SIGKILL, main process", "SIGKILL, a worker", "SIGKILL, all processes"
TERM, INT = "SIGTERM twice, main process", "SIGINT twice, all processes"
EVERYWHERE = (MAIN, GROUP, TERM, INT)
KINDS = {
    IMPORTS: EVERYWHERE,
    PLAN: EVERYWHERE,
    WORKER_IMPORTS: (*EVERYWHERE, WORKER),
    TRAINING: (*EVERYWHERE, WORKER),
    CHECKPOINTED: (*EVERYWHERE, WORKER),
    MEASURING: (*EVERYWHERE, WORKER),
    REPORT: EVERYWHERE,
}
PAIRS = [(phase, kind) for phase, kinds in KINDS.items() for kind in kinds]
Durations = dict[str, float]


# Running


@dataclass(frozen=True)
class Place:
    """The folders of one chain of runs."""

    root: Path
    code: Path
    cache: Path
    executor: str = "local"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def command(self, workers: int) -> list[str]:
        run = [sys.executable, "-m", "ganbench", "run", str(self.root / "kills.toml")]
        spec = EXECUTORS[self.executor].format(workers=workers)
        options = ["--results", str(self.results), "--executor", spec, "--device", "cpu"]
        return [*run, *options]

    def environment(self) -> dict[str, str]:
        own = {"GANBENCH_CACHE": self.cache, "TMPDIR": self.temporary, "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **{name: str(value) for name, value in own.items()}}


class Run:
    """One process of `ganbench run` in a session of its own, observed by its files."""

    def __init__(self, place: Place, workers: int):
        self.results, self.began = place.results, time.time()
        self.executor = place.executor
        self.out, self.err = place.root / "out.txt", place.root / "err.txt"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                place.command(workers),
                cwd=place.code,
                env=place.environment(),
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def phase(self) -> str:
        """Returns the current phase, by the files that this run has written so far."""
        if self.process.poll() is not None:
            return OVER
        if not self.out.stat().st_size:
            return IMPORTS
        if self.has_written(self.results / "kills" / "results.parquet"):
            return REPORT
        announced = read_json_lines(self.results / "kills" / "runs.jsonl")
        own = [event for event in announced if event["process"] == self.process.pid]
        if any("ended" in event for event in own):
            return REPORT
        return self.phase_of_trial() if own else PLAN

    def has_written(self, path: Path) -> bool:
        return path.exists() and path.stat().st_mtime >= self.began

    def phase_of_trial(self) -> str:
        """Returns the phase of the attempt that began last."""
        attempts = self.results.glob("trials/*/*/attempts/*")
        own = [path for path in attempts if self.has_written(path / "events.jsonl")]
        if not own:
            return WORKER_IMPORTS
        last = max(own, key=lambda path: path.stat().st_ctime)
        if any("measuring" in event for event in read_json_lines(last / "events.jsonl")):
            return MEASURING
        return CHECKPOINTED if (last.parents[1] / "checkpoint.pt").exists() else TRAINING

    def members(self) -> list[int]:
        """Returns the living processes of this run's session, and those that hold a trial."""
        own = [pid for pid, session in living_processes() if session == self.process.pid]
        return [*own, *self.workers()]

    def workers(self) -> list[int]:
        """Returns the living processes that hold a trial of this store."""
        holders = map(read_holder, self.results.glob("trials/*/*"))
        return [holder["process"] for holder in holders if holder]

    def wait_for(self, phase: str, seconds: float) -> str:
        """Waits until this run was in a phase for so long; returns the phase that it is in."""
        spent, last = 0.0, time.monotonic()
        while (current := self.phase()) != OVER:
            now = time.monotonic()
            spent, last = spent + (now - last) * (current == phase), now
            if spent > seconds and current == phase:
                break
            time.sleep(POLL_SECONDS)
        return current

    def kill(self, kind: str, draw: random.Random) -> None:
        """Sends the signals of a kind of kill."""
        if kind == GROUP:
            os.killpg(self.process.pid, signal.SIGKILL)
        elif kind == MAIN:
            self.process.kill()
        elif kind == WORKER:
            os.kill(draw.choice(self.workers()), signal.SIGKILL)
        else:
            self.stop_twice(kind, draw.uniform(0, MAX_SECONDS_BETWEEN_SIGNALS))

    def stop_twice(self, kind: str, pause: float) -> None:
        for _ in range(2):
            if self.process.poll() is None:
                send = self.process.send_signal if kind == TERM else self.send_to_all
                send(signal.SIGTERM if kind == TERM else signal.SIGINT)
                time.sleep(pause)

    def send_to_all(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def finish(self) -> int:
        return self.process.wait(MAX_SECONDS_OF_RUN)

    def wait_for_orphans(self) -> float | None:
        """Returns the seconds until no process of this run lives; None: one lives for too long."""
        if self.executor in ("slurm", "submitit"):
            return 0.0
        began = time.monotonic()
        while self.members():
            if time.monotonic() - began > MAX_SECONDS_OF_ORPHANS:
                return None
            time.sleep(POLL_SECONDS)
        return round(time.monotonic() - began, 2)


def living_processes() -> Iterator[tuple[int, int]]:
    """Yields the id and the session of each process that is no zombie."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if state not in "ZX":
            yield int(path.parent.name), int(session)


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


# Comparison with the unbroken run


def find_differences(results: Path, unbroken: Path) -> list[str]:
    """Returns what is not as in the unbroken store: rows, files, bytes, trials."""
    found = [*row_differences(results, unbroken), *path_differences(results, unbroken)]
    found += [f"other bytes: {name}" for name in changed_files(results, unbroken)]
    return found + [f"trained twice: {name}" for name in doubled_trials(results)]


def row_differences(results: Path, unbroken: Path) -> list[str]:
    try:
        pd.testing.assert_frame_equal(
            compared_rows(results), compared_rows(unbroken), check_exact=True
        )
    except AssertionError as error:
        return [f"other rows: {' '.join(str(error).split())[:200]}"]
    return []


def compared_rows(results: Path) -> pd.DataFrame:
    """Returns all rows of quality and of learning curves, without the seconds."""
    frame = load(results / "kills")
    rows = frame[frame["kind"].isin(["quality", "curve"])].drop(columns=TIMED_COLUMNS)
    rows.attrs = {}
    return rows.reset_index(drop=True)


def path_differences(results: Path, unbroken: Path) -> list[str]:
    """Returns files that only one of two stores has; attempts may be more."""
    here, there = store_paths(results), store_paths(unbroken)
    extra = [f"left over: {name}" for name in sorted(here - there) if not is_drawn_by_report(name)]
    return extra + [f"missing: {name}" for name in sorted(there - here)]


def is_drawn_by_report(name: str) -> bool:
    """Returns whether a file is a picture that reports draw of the arms that they show."""
    return Path(name).name in DRAWN_BY_REPORTS


def store_paths(results: Path) -> set[str]:
    """Returns the files of a store; those of attempts without the attempt's number."""
    paths = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
    usual = {"events.jsonl", "exit.json", "log.txt"}  # an attempt that was killed has no end
    usual |= {"owner.json", "released"}  # of a lease
    folders = {"attempts", "leases"}
    return {str(p) for p in paths if not folders & set(p.parts) or p.name not in usual}


def changed_files(results: Path, unbroken: Path) -> list[str]:
    """Returns the generators, evaluations, floors and pictures with other bytes."""
    patterns = ("trials/*/*/samplers/*", "trials/*/*/evaluations/*", "floors/*", "trials/*/*/*.png")
    paths = [path for pattern in patterns for path in unbroken.glob(pattern)]
    names = [path.relative_to(unbroken) for path in paths]
    same = [read_bytes(results / name) == read_bytes(unbroken / name) for name in names]
    return [str(name) for name, equal in zip(names, same, strict=True) if not equal]


def read_bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def doubled_trials(results: Path) -> list[str]:
    """Returns the trials that more than one attempt brought to its end."""
    ends = results.glob("trials/*/*/attempts/*/exit.json")
    done = Counter(path.parents[2].name for path in ends if read_json(path)["outcome"] == "done")
    return [trial for trial, count in done.items() if count > 1]


def count_resumed(results: Path) -> int:
    """Returns the number of attempts that began at a later step than the first."""
    paths = results.glob("trials/*/*/attempts/*/events.jsonl")
    steps = [[e["step"] for e in read_json_lines(path) if "step" in e] for path in paths]
    return sum(found[:1] > [0] for found in steps)


# Chains of kills


@dataclass
class Kill:
    """One kill, and what the process that it hit left."""

    phase: str
    kind: str
    workers: int
    code: int
    seconds_of_orphans: float | None  # None: one lived for longer than 10 s
    last_line: str  # of standard error
    traceback: bool

    @property
    def is_clean(self) -> bool:
        return self.seconds_of_orphans is not None and not self.traceback


@dataclass
class Chain:
    """Kills of one store, and what the last run made of it."""

    number: int
    executor: str
    cold: bool  # it began with an empty cache
    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    code: int = -1  # of the last run
    resumed: int = 0  # trainings that began from a checkpoint
    differences: list[str] = field(default_factory=list)  # from the unbroken run
    left_overs: list[str] = field(default_factory=list)  # in the cache and the temporary folder
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 1)}


def make_place(out: Path, name: str) -> Place:
    """Makes the folders of a chain, with the suite."""
    place = Place(out / "work" / name, out / "work" / "code", out / "work" / "cache")
    shutil.rmtree(place.root, ignore_errors=True)
    place.temporary.mkdir(parents=True)
    (place.root / "kills.toml").write_text(SUITE)
    return place


def copy_package(code: Path) -> None:
    """Copies the package, and lets the copy write checkpoints more often."""
    shutil.copytree(ROOT / "ganbench", code / "ganbench")
    session = code / "ganbench" / "experiments" / "session.py"
    text = session.read_text()
    if RARE not in text:
        raise SystemExit(f"{session} lacks the line {RARE}")
    session.write_text(text.replace(RARE, OFTEN))


def run_unbroken(out: Path) -> None:
    """Runs the suite to its end with an empty cache, and again with a full one."""
    copy_package(out / "work" / "code")
    for name in ("cold", "warm"):
        run = Run(make_place(out, "unbroken"), workers=1)
        durations = measure_durations(run)
        if run.finish():
            raise SystemExit(run.err.read_text())
        write_json(out / "work" / f"durations-{name}.json", durations)


def measure_durations(run: Run) -> Durations:
    """Returns the seconds that a run is in each phase."""
    durations, last = defaultdict[str, float](float), time.monotonic()
    while (phase := run.phase()) != OVER:
        now = time.monotonic()
        durations[phase] += now - last
        last = now
        time.sleep(POLL_SECONDS)
    return dict(durations)


def run_chain(number: int, out: Path, executor: str) -> Chain:
    """Kills runs of one store at random moments, then repeats the command to its end."""
    draw, began = random.Random(number), time.monotonic()
    place = replace(make_place(out, f"chain{number}"), executor=executor)
    chain = Chain(number, executor, number % COLD_EVERY == 0)
    known = files_of(place.cache) | files_of(out / "work" / "unbroken" / "tmp")
    durations = read_json(out / "work" / f"durations-{'cold' if chain.cold else 'warm'}.json")
    if chain.cold:
        place = replace(place, cache=place.root / "cache")
    pair = PAIRS[number % len(PAIRS)]
    for _ in range(MAX_KILLS_IN_CHAIN):
        if chain.code != 0:
            run_and_kill(place, chain, pair, durations[pair[0]], draw)
            phase = draw.choice(phases_to_come(place.results))
            pair = phase, draw.choice(KINDS[phase])
    while chain.code != 0 and chain.runs < 2 * MAX_KILLS_IN_CHAIN:
        run_to_its_end(place, chain, draw.choice([1, 2]))
    chain.resumed = count_resumed(place.results)
    chain.differences = find_differences(place.results, out / "work" / "unbroken" / "results")
    chain.left_overs = sorted((files_of(place.cache) | files_of(place.temporary)) - known)
    chain.seconds = time.monotonic() - began
    if not chain.differences and not chain.left_overs and not chain.code:
        shutil.rmtree(place.root)
    return chain


def run_and_kill(
    place: Place, chain: Chain, pair: tuple[str, str], seconds: float, draw: random.Random
) -> None:
    """Starts a run and kills it at a random moment of a phase, unless it ends before."""
    (phase, kind), workers = pair, draw.choice([1, 2])
    run = Run(place, workers)
    current = run.wait_for(phase, draw.uniform(0, 0.95 * seconds))
    if current != OVER and (kind != WORKER or run.workers()):
        run.kill(kind, draw)
        code = run.finish()
        orphaned = run.wait_for_orphans()
        lines = run.err.read_text(errors="replace").splitlines()
        trace = any("Traceback" in line or "internal error" in line for line in lines)
        last = lines[-1].replace(str(place.root), "") if lines else ""
        chain.kills.append(Kill(current, kind, workers, code, orphaned, last[:200], trace))
        if trace:
            shutil.copy(run.err, place.root.parent / f"chain{chain.number}-{chain.runs}.err")
    chain.code, chain.runs = run.finish(), chain.runs + 1


def phases_to_come(results: Path) -> list[str]:
    """Returns the phases of the next run; a trained store has no trainings left."""
    trained = len(list(results.glob("trials/*/*/result.json"))) == TRIALS
    return [phase for phase in KINDS if not trained or phase in (IMPORTS, PLAN, REPORT)]


def run_to_its_end(place: Place, chain: Chain, workers: int) -> None:
    run = Run(place, workers)
    chain.code, chain.runs = run.finish(), chain.runs + 1


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Tables


def table_rows(chains: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts kills, and those whose chain came out as the unbroken run, by phase and kind."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for chain in chains:
        equal = not chain["differences"] and chain["code"] == 0
        for kill in chain["kills"]:
            entry = counts[kill["phase"], kill["kind"]]
            entry["kills"] += 1
            entry["equal"] += equal
            entry["left-overs"] += bool(chain["left_overs"]) or has_left_overs(chain)
            entry["orphans"] += kill["seconds_of_orphans"] is None
            entry["tracebacks"] += kill["traceback"]
    names = ("kills", "equal", "left-overs", "orphans", "tracebacks")
    return [
        {"phase": phase, "kind": kind, **{name: counts[phase, kind][name] for name in names}}
        for phase, kind in PAIRS
    ]


def executor_rows(chains: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts stores, kills and equal stores by executor."""
    rows = []
    for executor in EXECUTORS:
        own = [chain for chain in chains if chain.get("executor", "local") == executor]
        equal = [chain for chain in own if not chain["differences"] and chain["code"] == 0]
        kills = sum(len(chain["kills"]) for chain in own)
        rows.append(
            {"executor": executor, "stores": len(own), "kills": kills, "equal stores": len(equal)}
        )
    return [row for row in rows if row["stores"]]


def has_left_overs(chain: dict[str, Any]) -> bool:
    return any(text.startswith("left over") for text in chain["differences"])


def render_page(chains: list[dict[str, Any]]) -> str:
    rows = table_rows(chains)
    table = pd.DataFrame(rows).to_markdown(index=False)
    total = {name: sum(row[name] for row in rows) for name in rows[0] if name not in ABOUT_COLUMNS}
    runs, kills = sum(chain["runs"] for chain in chains), total["kills"]
    resumed = sum(chain["resumed"] for chain in chains)
    times = [k["seconds_of_orphans"] for c in chains for k in c["kills"]]
    longest = max((seconds for seconds in times if seconds is not None), default=0)
    return PAGE.format(
        table=table,
        executors=pd.DataFrame(executor_rows(chains)).to_markdown(index=False),
        runs=runs,
        chains=len(chains),
        resumed=resumed,
        longest=longest,
        summary=f"{kills} kills: {total['equal']} with equal results, {total['left-overs']} with "
        f"left-overs, {total['orphans']} with orphans, {total['tracebacks']} with tracebacks.",
    )


ABOUT_COLUMNS = ("phase", "kind")
PAGE = """\
# Kills of running suites

`studies/kills.py` wrote this page, on two cores shared with other work. A suite of 12 trials is killed
at a random moment of each phase. The same command is then repeated, or killed again up to three
times, until it ends with 0. `kills.json` has every kill.

**{summary}**
{chains} stores, {runs} runs; {resumed} trainings began from a checkpoint.

Equal means, bit for bit as in a run without a kill: all rows of quality and of learning curves, saved
generators, evaluations, floors and pictures. No trial is missing, and none was finished twice.
Left-overs are files that the unbroken run does not have, in the store, the cache and the temporary
folder. Orphans are processes that live 10 s after the end of the main process; the slowest took
{longest} s. A store counts for each of its kills. Submitit's local controller, and torch at its end,
may print a traceback when a second signal interrupts them.

{executors}

{table}

Each third store begins with an empty cache. After the kill of one worker, the run goes on by itself
and trains that trial again. A run that two signals stop exits with 130, or as killed by the second.
Slurm's jobs outlive a killed runner by design, and the next run waits for them. A report
of a stopped run may show another seed than the last one; its pictures in the store are no difference.
The study writes checkpoints each 0.2 s, where ganbench writes them each 3 s.
"""


def write_tables(out: Path, chains: list[dict[str, Any]]) -> None:
    chains = [{key: value for key, value in chain.items() if key != "time"} for chain in chains]
    write_json(out / "kills.json", {"suite": SUITE, "chains": chains})
    write_bytes(out / "README.md", render_page(chains).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=64, help="at least so many")
    parser.add_argument("--lanes", type=int, default=1, help="chains at the same time")
    parser.add_argument("--executors", nargs="+", choices=EXECUTORS, default=["local"])
    arguments = parser.parse_args()
    out, rows = arguments.out.resolve(), arguments.out.resolve() / "work" / "chains.jsonl"
    os.nice(2)
    if not (out / "work" / "durations-warm.json").exists():
        run_unbroken(out)
    with ExitStack() as clusters:
        start_clusters(arguments.executors, out / "work", clusters)
        while count_kills(chains := read_json_lines(rows)) < arguments.kills:
            write_tables(out, chains)
            numbers = range(len(chains), len(chains) + arguments.lanes)
            run_chains(numbers, out, rows, arguments.executors)
    write_tables(out, chains)


def start_clusters(executors: list[str], folder: Path, stack: ExitStack) -> None:
    """Starts the clusters of this machine that the executors need, until the stack closes."""
    if "ray" in executors:
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        stack.callback(cluster.shutdown)
        os.environ["RAY_ADDRESS"] = cluster.address
    if "slurm" in executors:
        from slurm_cluster import SlurmCluster

        place = folder / f"slurm-{os.getpid()}"
        os.environ |= stack.enter_context(SlurmCluster(place))


def run_chains(numbers: range, out: Path, rows: Path, executors: list[str]) -> None:
    """Runs some chains at the same time, with each executor in turn, and records each."""

    def run(number: int) -> Chain:
        return run_chain(number, out, executors[number % len(executors)])

    with ThreadPoolExecutor(len(numbers)) as pool:
        for chain in pool.map(run, numbers):
            append_json_line(rows, **chain.record())
            print(describe(chain), flush=True)


def count_kills(chains: list[dict[str, Any]]) -> int:
    return sum(len(chain["kills"]) for chain in chains)


def describe(chain: Chain) -> str:
    kills = [f"{kill.phase} / {kill.kind} -> {kill.code}" for kill in chain.kills]
    found = [*chain.differences, *chain.left_overs]
    found += [kill.last_line for kill in chain.kills if not kill.is_clean]
    return f"{chain.number} {chain.executor} ({chain.seconds:.0f} s): {'; '.join(kills)}: {found or 'equal'}"


if __name__ == "__main__":
    main()
