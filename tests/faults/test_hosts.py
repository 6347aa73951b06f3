"""Runs on several hosts, which are network namespaces: they give the bits of one host, or say why they cannot.

The commands of docs/clusters.md and docs/reliability.md are run here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.runs import arguments, assert_same_run
from tests.hosts import Host, hosts

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def two() -> Iterator[list[Host]]:
    """Two hosts whose own names lead to 127.0.1.1."""
    with hosts(2) as made:
        yield made


def ended(two: list[Host], given: list[str], out: Path, *environment: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and output of the command on each of the hosts, with variables for each."""
    with Cluster(out, given, "2") as cluster:
        for host, variables in zip(two, environment, strict=True):
            cluster.start(host, None, **variables)
        return [cluster.ended(host) for host in two]


def test_two_hosts_give_the_bits_of_one(two: list[Host], tiny_set: Path, pair: Path, tmp_path: Path) -> None:
    """A rank on each of two hosts: the bits of `--nproc 2`, though each host's name leads to 127.0.1.1."""
    out = tmp_path / "run"
    for code, output in ended(two, arguments(tiny_set, out), out, {}, {}):
        assert code == 0, output
    assert_same_run(pair, out)


@pytest.mark.parametrize("wrong", [0, 1])
def test_wrong_interface_is_a_line_with_both_addresses(
    two: list[Host], tiny_set: Path, tmp_path: Path, wrong: int
) -> None:
    """GLOO_SOCKET_IFNAME that leads nowhere, on either host, ends all at once with a line that names both addresses."""
    environment: list[dict[str, str]] = [{}, {}]
    environment[wrong] = {"GLOO_SOCKET_IFNAME": "lo"}
    out = tmp_path / "run"
    results = ended(two, arguments(tiny_set, out), out, *environment)
    assert [code for code, _ in results] == [1, 1], results  # torchrun's own for a rank that failed
    said = "".join(output for _, output in results)
    assert "headrace: error: rank 1: no connection from " in said
    assert "127.0.0.1 (lo)" in said
    assert " (eth0)" in said
    assert not out.exists()


def test_folder_of_one_host_is_refused(two: list[Host], tiny_set: Path, tmp_path: Path) -> None:
    """A run folder that is another one on each host is refused with one line, before the first step."""
    given = arguments(tiny_set, tmp_path / "here" / "run")
    (tmp_path / "here").mkdir()
    with Cluster(tmp_path / "run", given, "2") as cluster:
        for host in two:
            own = host._replace(mounted=f"mount -t tmpfs tmpfs {tmp_path / 'here'}")
            cluster.start(own)
        results = [cluster.ended(host) for host in two]
    assert [code for code, _ in results] == [1, 1], results
    line = f"headrace: error: rank 1 on {two[1].name}: {tmp_path / 'here' / 'run'} is not the run folder"
    assert any(line.replace(two[1].name, host.name) in output for host in two for _, output in results), results
