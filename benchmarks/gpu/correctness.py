"""Compares the GPU pipeline with the CPU pipeline on the same plans, and the first loss and gradient with the CPU's.

Tolerances were set before the first measurement on a GPU: in grey levels of 255 for pixels, relative for loss and
gradient, with exact fp32 on both devices. Dropout is off, because its mask is drawn on the device.
"""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.gpu.setting import Rows, Setting
from benchmarks.harness.tables import Row
from headrace.shards.shardset import Split
from headrace.train.input.assembly import Input
from headrace.train.input.batch import Batch
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.run.assemble import build_plans, build_step
from headrace.train.step.update import TrainStep

PIXELS = {"cpu": (0.5, 3), "mixed": (2.0, 64)}  # tolerated mean and largest difference, by decoder
LOSS, GRADIENT = 1e-4, 1e-2
_GROUPS = 4  # each is a quarter of the batch


def run(setting: Setting) -> Rows:
    """Yield the rows of two tables: pixels, and the first step."""
    setup = setting.setup("model.dropout=0", "runtime.precision=fp32", f"train.group={setting.batch // 4}")
    place, step = setting.step(setup)
    plans = build_plans(setup)
    wanted = list(plans.stream(0, 1, range(min(_GROUPS, setup.steps.groups))))
    threads = 1 if setting.dry else 4
    on_cpu = list(_pixels(plans.split, wanted, Accelerator(None), threads, "cpu"))
    for decode in setting.decoders:
        found = list(_pixels(plans.split, wanted, place.accelerator, threads, decode))
        yield "pixels", _compared(decode, on_cpu, found)
    other = build_step(setup, Place(place.world, Accelerator(None), threads), Numerics(), setting.built(setup))
    first, images = on_cpu[0]
    yield "first step", _first_step(step, other, first, images)


def _pixels(
    split: Split, plans: list[Plan], accelerator: Accelerator, threads: int, decode: str
) -> Iterator[tuple[Plan, torch.Tensor]]:
    made = Input(split, len(plans[0].ids), Place(World(), accelerator, threads), decode=decode)
    for plan, images in made.images(iter(plans)):
        accelerator.synchronize()  # the images come from a stream of their own
        yield plan, images.cpu().clone()


def _compared(decode: str, one: list[tuple[Plan, torch.Tensor]], other: list[tuple[Plan, torch.Tensor]]) -> Row:
    pairs = list(zip(one, other, strict=True))
    same_ids = all(np.array_equal(a.ids, b.ids) for (a, _), (b, _) in pairs)
    gaps = torch.cat([(a.int() - b.int()).abs().flatten() for (_, a), (_, b) in pairs])
    mean, largest = float(gaps.float().mean()), int(gaps.max())
    most_mean, most = PIXELS[decode]
    own = decode == "cpu" or largest > 0  # equal bits would mean that nvJPEG decoded none of them
    return {
        "decode": decode,
        "images": sum(len(plan.ids) for plan, _ in one),
        "ids equal": same_ids,
        "mean difference": round(mean, 4),
        "largest difference": largest,
        "share beyond 1 level": round(float((gaps > 1).float().mean()), 6),
        "tolerance": f"mean {most_mean}, largest {most}",
        "decoded where it should be": own,
        "within": own and same_ids and mean <= most_mean and largest <= most,
    }


def _first_step(step: TrainStep, other: TrainStep, plan: Plan, images: torch.Tensor) -> Row:
    """A row that compares loss and gradient on both devices, for the same weights and images."""
    losses, gradients = [], []
    for one in (other, step):
        batch = Batch.of(plan, one.accelerator.upload(images.numpy()), one.accelerator)
        loss, _ = one._forward(batch, 0)  # noqa: SLF001  the step's own forward pass, without its update
        one._backward(loss)  # noqa: SLF001
        losses.append(float(loss.detach()))
        flat = [p.grad.flatten().double().cpu() for p in one.network.parameters() if p.grad is not None]
        gradients.append(torch.cat(flat))
    apart = abs(losses[1] - losses[0]) / abs(losses[0])
    gap = float((gradients[1] - gradients[0]).norm() / gradients[0].norm())
    return {
        "loss on CPU": losses[0],
        "loss on device": losses[1],
        "relative difference": f"{apart:.1e}",
        "gradient, relative norm of the difference": f"{gap:.1e}",
        "tolerance": f"{LOSS:g}, {GRADIENT:g}",
        "within": apart <= LOSS and gap <= GRADIENT,
    }
