"""The order of the gate to this process: whose ganbench, on which device, which benchmarks, where to answer."""

import json
import os
from pathlib import Path
from typing import Any

import torch

ORDER: dict[str, Any] = json.loads(Path(os.environ["GANBENCH_PERF"]).read_text("utf-8"))
DEVICE = torch.device(ORDER["device"])
ON_GPU = DEVICE.type == "cuda"
