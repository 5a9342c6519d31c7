"""The metric that renditions are judged by."""

from streamforge.quality.metric import Metric
from streamforge.quality.vmaf import Vmaf

METRIC: Metric = Vmaf()
