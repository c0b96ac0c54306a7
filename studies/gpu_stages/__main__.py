"""Runs one stage in this process: `python -m gpu_stages NAME --rows FILE`."""

import argparse
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from ganbench.files import append_json_line, read_json_lines

from .base import Job


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__))
    parser.add_argument("name")
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="file of rows, which grows")
    parser.add_argument("--folder", type=Path, required=True, help="folder for files of the stage")
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    known = {row["what"] for row in read_json_lines(args.rows)}
    device = torch.device(args.device)
    job = Job(device, args.tiny, args.seconds, args.folder, args.out, frozenset(known))
    torch.set_num_threads(1)
    for row in import_module(f"gpu_stages.{args.name}").measure(job):
        if row.what not in known:
            append_json_line(args.rows, **asdict(row))
            known.add(row.what)


if __name__ == "__main__":
    main()
