import pytest

from headrace.shards.errors import UsageError
from headrace.train.machine.slurm import Task, first_host, refuse_several, task_of, tasks_of_host
from headrace.train.machine.world import World

STEP = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "2",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1,1",
    "SLURM_STEP_NODELIST": "gpu[03-05,9]",
}


def test_task_is_a_rank() -> None:
    """A rank gets the task's numbers, the first host of its step, and a port derived from job and step."""
    assert task_of(STEP) == Task(5, 6, 1, 1, "gpu03", 20_000 + (31 * 1234 + 2) % 12_000)


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST"])
def test_outside_of_a_step_it_is_refused(name: str) -> None:
    """Without a variable that only a step has, the error says to start with srun."""
    with pytest.raises(UsageError, match=f"not a task of a SLURM step.*{name}.*srun"):
        task_of({key: value for key, value in STEP.items() if key != name})


def test_rank_of_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ranks that torchrun starts in a task would get the task's number."""
    monkeypatch.setenv("RANK", "11")
    with pytest.raises(UsageError, match="RANK is set: torchrun"):
        World.follow(task_of(STEP))


@pytest.mark.parametrize(
    ("listed", "first"),
    [
        ("a", "a"),
        ("a,b", "a"),
        ("n[1-3],m", "n1"),
        ("n[07,9]", "n07"),
        ("rack1-n[2-4].lan,x", "rack1-n2.lan"),
        ("r[1-2]n[03-4],x", "r1n03"),
    ],
)
def test_first_host(listed: str, first: str) -> None:
    """The first host is found in lists as SLURM abbreviates them."""
    assert first_host(listed) == first


def test_tasks_of_hosts() -> None:
    """Counts are read as SLURM abbreviates them; a host that they do not cover is an error."""
    assert [tasks_of_host("2(x3),1,4", host) for host in range(5)] == [2, 2, 2, 1, 4]
    with pytest.raises(ValueError, match="no host 5"):
        tasks_of_host("2(x3),1,4", 5)


def test_several_tasks_are_refused_with_both_lines() -> None:
    """Several tasks that would each train everything get both ways to start."""
    with pytest.raises(UsageError, match=r"one of 6 tasks .* srun --ntasks-per-node=1 torchrun .* --launcher slurm"):
        refuse_several(STEP)


@pytest.mark.parametrize(
    "variables",
    [{}, {"SLURM_NTASKS": "6"}, {"SLURM_NTASKS": "6", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967291"}],
    ids=["no job", "shell of salloc", "batch script"],
)
def test_one_process_of_a_job_is_let_be(variables: dict[str, str]) -> None:
    """One process is right in a batch script and in a shell of salloc, which have SLURM_NTASKS too."""
    refuse_several(variables)
