"""Formats the doctor's findings as lines for people."""

from collections.abc import Iterator, Sequence

from headrace.train.doctor.examination import Examination
from headrace.train.doctor.measured import Rung
from headrace.train.doctor.reading import Reading
from headrace.train.doctor.words import advice, cold_line, finding, network_line

LABELS = {
    Rung.READ: "read",
    Rung.DECODE: "+ decode",
    Rung.COPY: "+ copy to the device",
    Rung.INPUT: "+ crop, resize, augment: the input",
    Rung.MIXED: "the input, decoded on the GPU",
    Rung.THREADS: "step on a resident batch, all cores",
    Rung.COMPUTE: "step on a resident batch, no exchange",
    Rung.STEP: "step on a resident batch (R_synth)",
    Rung.WHOLE: "the whole (R_real)",
    Rung.MEMORY: "the whole, files in memory",
}
_HEADS = ("rung", "images/s", "min to max", "CPU us/image", "times R_real")


def page(found: Examination) -> str:
    """Return the findings as the text that `headrace doctor` prints."""
    return "\n".join([*_about(found.reading), "", *_ladder(found.reading), "", *_verdict(found), *_scale(found)])


def _about(reading: Reading) -> Iterator[str]:
    job, cores = reading.measured.job, reading.measured.cores
    yield f"job      {job.shards}, recipe {job.recipe}: {job.model} at {job.size} px, {job.groups} x {job.group} a step"
    yield (
        f"device   {job.device}, {job.processes} x {job.threads} CPU threads, {job.precision}, "
        f"{'pixels from the decoded cache' if job.cached else f'decode on {job.decode}'}"
    )
    yield f"cores    {cores.share * cores.asked:.2f} of the {cores.asked} cores that the job's threads need"
    yield from (f"note     {remark}" for remark in job.remarks)


def _ladder(reading: Reading) -> Iterator[str]:
    rows = [_HEADS]
    for rung, label in LABELS.items():
        if (timed := reading.measured.rungs.get(rung)) is not None:
            extent = f"{min(timed.rates):,.1f} to {max(timed.rates):,.1f}"
            times = f"{timed.rate / reading.real:,.2f}"
            rows.append((label, f"{timed.rate:,.1f}", extent, f"{timed.cpu_microseconds:,.1f}", times))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows of cells as lines with aligned columns: the first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _verdict(found: Examination) -> Iterator[str]:
    reading, verdict = found.reading, found.reading.verdict
    yield (
        f"ratio    R_real / R_synth = {verdict.ratio:.3f} ({extent(reading.ratios)}; R_synth against itself "
        f"{extent(reading.itself)})"
    )
    if verdict.ceiling < 1:
        yield (
            f"ceiling  {verdict.ceiling:.3f}, as step and input share the cores; "
            f"ratio / ceiling = {verdict.reached:.3f}"
        )
    stalls = reading.stalls
    yield f"stalls   prep {stalls.prep:.1%}, fetch {stalls.fetch:.1%}; the step waited {reading.stall:.1%} of the time"
    if line := network_line(reading):
        yield f"network  {line}"
    if line := cold_line(found):
        yield f"cold     {line}"
    yield f"finding  {finding(reading)}"
    yield f"knob     {advice(found)}"
    if found.min_ratio is not None:
        says = "reached" if found.passes else "missed"
        yield f"gate     ratio / ceiling = {verdict.reached:.3f}, required: at least {found.min_ratio:g}: {says}"


def extent(values: Sequence[float]) -> str:
    """Return the smallest and the largest value as text."""
    return f"{min(values):.3f} to {max(values):.3f}"


def _scale(found: Examination) -> Iterator[str]:
    if not found.scaled:
        return
    yield ""
    heads = ("processes", "images/s", "epoch, s", "efficiency")
    rows = [
        (str(one.processes), f"{one.rate:,.1f}", f"{one.epoch_seconds:,.1f}", f"{one.efficiency:.3f}")
        for one in found.scaled
    ]
    yield from aligned([heads, *rows])
    cores = f"{found.cores_each} core{'s' if found.cores_each > 1 else ''} each"
    if found.fit is None:
        yield f"scale    {cores}; give several numbers of processes to see what does not scale"
        return
    yield (
        f"scale    {cores}; T(N) = {found.fit.fixed:,.1f} s + {found.fit.shared:,.1f} s / N for an epoch: "
        f"{found.fit.fixed:,.1f} s do not scale"
    )
