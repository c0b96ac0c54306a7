"""The process that is connected to a Ray cluster for the Ray executor.

It reads lines of JSON from standard input (submit, cancel), and prints one for each job that has ended. It
ends with its input, and Ray then ends its tasks.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

WAIT_SECONDS = 0.2


def main(address: str) -> None:
    import ray

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints goes to the log
    ray.init(address=address or None, log_to_driver=False, include_dashboard=False)
    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    print_line(answers, {"ready": ray.cluster_resources()})
    serve(requests, answers)


def read_requests(requests: "queue.Queue[dict[str, Any] | None]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)


def serve(requests: "queue.Queue[dict[str, Any] | None]", answers: Any) -> None:
    """Handles requests until the input ends, and reports jobs that have ended."""
    import ray

    tasks: dict[Any, str] = {}
    while True:
        for request in take_requests(requests, 0.0 if tasks else WAIT_SECONDS):
            if request is None:
                return
            handle_request(request, tasks)
        ended, _ = ray.wait(list(tasks), timeout=WAIT_SECONDS) if tasks else ([], [])
        for task in ended:
            print_line(answers, {"ended": tasks.pop(task), "reason": describe_end(task)})


def take_requests(
    requests: "queue.Queue[dict[str, Any] | None]", seconds: float
) -> Iterator[dict[str, Any] | None]:
    """Yields the requests that wait, after at most this time for a first one."""
    with suppress(queue.Empty):
        yield requests.get(timeout=seconds) if seconds else requests.get_nowait()
        while True:
            yield requests.get_nowait()


def handle_request(request: dict[str, Any], tasks: dict[Any, str]) -> None:
    import ray

    if path := request.get("submit"):
        task = ray.remote(run_on_node).options(max_retries=0, **request["resources"])
        tasks[task.remote(path)] = path
    for task, path in tasks.items():
        if path == request.get("cancel"):
            ray.cancel(task, force=True)


def describe_end(task: Any) -> str:
    """Returns how a task ended, in one line."""
    import ray

    try:
        code = ray.get(task)
    except Exception as error:  # Ray's errors of lost workers and nodes, and of cancelled tasks
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return ": ".join([type(error).__name__, *lines[-1:]])
    return f"its worker ended with exit code {code}"


def run_on_node(path: str) -> int:
    """Runs a bundle on the node of this task, in a process that ends with it."""
    import json
    import os
    import subprocess
    import sys

    with open(path) as file:  # missing where this node does not see the store
        folder = json.load(file)["folder"]
    folder = folder if os.path.isdir(folder) else None
    command = [sys.executable, "-m", "ganbench.experiments.executors.node_worker", path]
    process = subprocess.Popen([*command, "--end-with-parent"], stdin=subprocess.PIPE, cwd=folder)
    return process.wait()


def print_line(stream: Any, message: dict[str, Any]) -> None:
    print(json.dumps(message), file=stream, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
