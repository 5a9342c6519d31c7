"""VMAF by libvmaf (https://github.com/Netflix/vmaf), at 8 bits, which it was made for."""

import json
from pathlib import Path

from streamforge.quality.metric import Metric

MODEL = "vmaf_v0.6.1"
MODEL_4K = "vmaf_4k_v0.6.1"


class Vmaf(Metric):
    """Its motion term looks at the pictures before and behind the one that it scores."""

    name = "vmaf"
    label = "VMAF"
    filter_name = "libvmaf"
    lead = 1
    pixels_per_second = 55e6
    price_of_lead = 1.5
    points_per_crf = 1.2
    just_noticed = 2.0  # A third of what viewers are said to notice.

    def model(self, width: int, height: int) -> str:
        return MODEL_4K if min(width, height) > 1080 else MODEL

    def filter(self, width: int, height: int, log: str, every: int = 1) -> str:
        """Without threads of its own, which each would have buffers to fill: encoders and chunks fill the cores."""
        sampled = f":n_subsample={every}" if every > 1 else ""
        return f"libvmaf=model=version={self.model(width, height)}:n_threads=0:log_fmt=json:log_path={log}{sampled}"

    def scores(self, log: Path) -> list[float]:
        return [float(frame["metrics"]["vmaf"]) for frame in json.loads(log.read_text(encoding="utf-8"))["frames"]]
