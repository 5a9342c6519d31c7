"""What a container may use of its machine, as the kernel tells it."""

from pathlib import Path

import pytest

from streamforge.media.worker import cgroup

GIBIBYTE = 2**30


@pytest.mark.parametrize(
    ("told", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
    ],
    ids=["no limit", "two", "one and a half need two", "a tenth is still one"],
)
def test_a_share_of_the_cpus_comes_to_so_many_cores(told: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(told, encoding="ascii")
    assert cgroup.cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", None), ("400000\n", 4)], ids=["no limit", "four"])
def test_so_it_does_with_the_groups_of_version_1(quota: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota, encoding="ascii")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="ascii")
    assert cgroup.cores(tmp_path) == cores


@pytest.mark.parametrize(("told", "limit"), [("max\n", None), (f"{4 * GIBIBYTE}\n", 4 * GIBIBYTE)])
def test_memory_has_a_limit_where_the_container_has(told: str, limit: int | None, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(told, encoding="ascii")
    assert cgroup.memory_bytes(tmp_path) == limit


def test_so_it_has_with_the_groups_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{GIBIBYTE}\n", encoding="ascii")
    assert cgroup.memory_bytes(tmp_path) == GIBIBYTE


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert (cgroup.cores(tmp_path), cgroup.memory_bytes(tmp_path)) == (None, None)
