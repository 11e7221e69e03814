"""Memory limits, on trees of files like Linux's."""

from pathlib import Path

import pytest

from helpers.lab.usable_memory import usable_bytes

GB = 10**9


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def meminfo(size: int) -> dict[str, str]:
    return {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {size // 1024} kB\n"}


def v2(group: str, limit: str, usage: int, cache: int) -> dict[str, str]:
    at = f"sys/fs/cgroup{group}"
    stat = f"inactive_anon 7\ninactive_file {cache}\n"
    return {f"{at}/memory.max": limit, f"{at}/memory.current": str(usage), f"{at}/memory.stat": stat}


def test_without_a_container_it_is_what_the_machine_has_free(tmp_path: Path):
    assert usable_bytes(tree(tmp_path, meminfo(8 * 2**30))) == 8 * 2**30


def test_a_container_leaves_its_limit_less_what_is_taken_and_not_cache(tmp_path: Path):
    files = meminfo(16 * GB) | {"proc/self/cgroup": "0::/\n"} | v2("", str(2 * GB), GB, GB // 4)
    assert usable_bytes(tree(tmp_path, files)) == 2 * GB - GB + GB // 4


def test_the_narrowest_group_on_the_way_up_counts(tmp_path: Path):
    files = meminfo(16 * GB) | {"proc/self/cgroup": "0::/pod/kernel\n"}
    files |= v2("/pod/kernel", "max", GB, 0) | v2("/pod", str(3 * GB), GB, 0) | v2("", str(9 * GB), GB, 0)
    assert usable_bytes(tree(tmp_path, files)) == 2 * GB


@pytest.mark.parametrize("there", ["/docker/1234", ""], ids=["own path", "only the root"])
def test_the_first_version_of_cgroups(tmp_path: Path, there: str):
    at = f"sys/fs/cgroup/memory{there}"
    files = meminfo(16 * GB) | {"proc/self/cgroup": "5:cpu:/docker/1234\n4:memory:/docker/1234\n"}
    files |= {f"{at}/memory.limit_in_bytes": str(2 * GB), f"{at}/memory.usage_in_bytes": str(GB)}
    files |= {f"{at}/memory.stat": f"inactive_file 5\ntotal_inactive_file {GB // 2}\n"}
    assert usable_bytes(tree(tmp_path, files)) == 2 * GB - GB + GB // 2


def test_no_limit_is_no_limit(tmp_path: Path):
    at = "sys/fs/cgroup/memory"
    files = meminfo(4 * 2**30) | {"proc/self/cgroup": "4:memory:/\n", f"{at}/memory.stat": ""}
    files |= {f"{at}/memory.limit_in_bytes": "9223372036854771712", f"{at}/memory.usage_in_bytes": "5"}
    assert usable_bytes(tree(tmp_path, files)) == 4 * 2**30


def test_here_it_is_a_sensible_number():
    assert 10**8 < usable_bytes() < 10**14
