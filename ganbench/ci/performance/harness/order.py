"""The gate's order for this process: side, device, benchmarks and output file."""

import json
import os
from pathlib import Path
from typing import Any

import torch

from .alternation import Alternation

BENCH_ORDER: dict[str, Any] = json.loads(Path(os.environ["GANBENCH_PERF"]).read_text("utf-8"))
BENCH_DEVICE = torch.device(BENCH_ORDER["device"])
ON_GPU = BENCH_DEVICE.type == "cuda"
ALTERNATION = Alternation(
    BENCH_ORDER.get("first", True), BENCH_ORDER.get("pipes"), BENCH_ORDER.get("core")
)
