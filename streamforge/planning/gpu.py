"""Which renditions of a job may be encoded by a GPU."""

from collections.abc import Collection

from streamforge.codecs.registry import GPU_ENCODERS
from streamforge.contracts.media.plan import Plan


def with_gpu(plan: Plan, working: Collection[str]) -> Plan:
    """`working` are the GPU encoders of the worker that plans, by FFmpeg's names; without any, the plan stays as it is.

    A per-title search found its CRFs with the CPU's encoders, and cbcs is for what they wrote. A download has its parameter
    sets at its head only. A copy is not encoded at all.
    """
    if plan.is_copy or plan.downloads or plan.per_title or (plan.protection and plan.protection.scheme == "cbcs"):
        return plan
    renditions = [
        rendition.model_copy(update={"gpu_encoder": encoder})
        if (encoder := GPU_ENCODERS.get(rendition.codec)) in working
        else rendition
        for rendition in plan.renditions
    ]
    return plan.model_copy(update={"renditions": renditions})
