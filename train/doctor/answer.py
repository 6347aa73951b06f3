"""Turns the doctor's findings into one object for programs, in plain values; docs/doctor.md lists its keys."""

from typing import Any

from headrace.train.doctor.examination import Examination
from headrace.train.doctor.measured import Timed
from headrace.train.doctor.reading import Reading
from headrace.train.doctor.stalls import Stalls
from headrace.train.doctor.words import finding

FORMAT = 1


def answer(found: Examination) -> dict[str, Any]:
    """Return the findings as one object in format 1.

    Rates are in images a second over all processes, and shares are fractions. Times are in microseconds, or in seconds
    if the key ends in `_seconds`.
    """
    reading, verdict = found.reading, found.reading.verdict
    resource, gain = reading.binding
    measured = reading.measured
    return {
        "format": FORMAT,
        "job": measured.job.model_dump(mode="json"),
        "cores": {**measured.cores.model_dump(mode="json"), "share": measured.cores.share},
        "rungs": {rung.value: _timed(timed, reading.real) for rung, timed in measured.rungs.items()},
        "real": reading.real,
        "synthetic": reading.synthetic,
        "ratio": verdict.ratio,
        "ratios": list(reading.ratios),
        "synthetic_against_itself": list(reading.itself),
        "ceiling": verdict.ceiling,
        "ratio_of_ceiling": verdict.reached,
        "stall": reading.stall,
        **_stalls(reading.stalls),
        "binding": {"resource": resource.value, "cause": measured.cores.cause.value, "predicted_gain": gain},
        "gains": {one.value: value for one, value in reading.gains.items()},
        "finding": finding(reading),
        "knob": _knob(found),
        "cold": _cold(found),
        "network": _network(reading),
        "scale": _scale(found),
        "gate": None if found.min_ratio is None else {"min_ratio": found.min_ratio, "passes": found.passes},
    }


def _timed(timed: Timed, real: float) -> dict[str, Any]:
    return {
        "images_per_second": timed.rate,
        "least": min(timed.rates),
        "most": max(timed.rates),
        "turns": len(timed.rates),
        "cpu_microseconds": timed.cpu_microseconds,
        "waited": timed.stall,
        "times_real": timed.rate / real,
    }


def _stalls(stalls: Stalls) -> dict[str, float]:
    return {"prep_stall": stalls.prep, "fetch_stall": stalls.fetch}


def _knob(found: Examination) -> dict[str, Any] | None:
    if found.knob is None:
        return None
    tried = found.tried
    return {
        "setting": found.knob.setting,
        "predicted_gain": found.knob.gain,
        "tried": None if tried is None else {"before": tried.before, "after": tried.after, "gain": tried.gain},
    }


def _network(reading: Reading) -> dict[str, Any] | None:
    network = reading.measured.network
    return None if network is None else {**network.model_dump(mode="json"), "waits": reading.fetching}


def _cold(found: Examination) -> dict[str, Any] | None:
    cold, stalls = found.reading.measured.cold, found.reading.cold_stalls
    if cold is None or stalls is None:
        return None
    facts = {"files": cold.files, "bytes": cold.bytes, "left_in_memory": cold.left}
    return {**_timed(cold.timed, found.reading.real), **_stalls(stalls), **facts}


def _scale(found: Examination) -> dict[str, Any] | None:
    if not found.scaled:
        return None
    fit = found.fit
    return {
        "cores_each": found.cores_each,
        "processes": [one._asdict() for one in found.scaled],
        "fit": None if fit is None else {"fixed_seconds": fit.fixed, "shared_seconds": fit.shared},
    }
