from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headrace.shards.shardset import ShardSet
from headrace.train.input.augment.erasing import Erasing
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.policy import Policy
from headrace.train.input.decode.pipeline import ImagePipeline
from headrace.train.input.feed import Feed
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator
from headrace.train.model.normalisation import normalisation_of
from tests.train.pictures import CPU, pipeline, training

TOLERANCE = {"cpu": (0.5, 3), "mixed": (2.0, 64)}
"""Mean and largest difference from the CPU pipeline in grey levels; mixed decodes by other arithmetic."""


@pytest.mark.parametrize("decode", ["cpu", "mixed"])
def test_pixels_are_those_of_the_cpu(tiny_set: Path, gpu: Accelerator, decode: str) -> None:
    """Both placements of the decoder give the same samples in the same order, within the stated tolerance."""
    split = ShardSet.open(tiny_set).split("train")
    plans = list(training(split).stream(0, 3, range(3)))
    wanted = [(plan.ids, images.clone()) for plan, images in pipeline(split).run(iter(plans))]
    device: ImagePipeline[Plan] = ImagePipeline(split, 16, gpu, threads=2, decode=decode)
    found = [(plan.ids, images) for plan, images in device.run(iter(plans))]
    gpu.synchronize()  # they come from a stream of their own
    gaps = []
    for (ids, images), (ids_of_gpu, images_of_gpu) in zip(wanted, found, strict=True):
        assert np.array_equal(ids, ids_of_gpu)
        assert images_of_gpu.device == gpu.device
        gaps.append((images.int() - images_of_gpu.cpu().int()).abs())
    mean, largest = TOLERANCE[decode]
    assert float(torch.cat(gaps).float().mean()) <= mean
    assert int(torch.cat(gaps).max()) <= largest
    assert decode == "cpu" or int(torch.cat(gaps).max()) > 0, "these are the CPU's pixels: nvJPEG decoded none of them"


@pytest.mark.parametrize("decode", ["cpu", "mixed"])
def test_images_stay_as_they_were(tiny_set: Path, gpu: Accelerator, decode: str) -> None:
    """No buffer of the decoder is shared with an image that is kept while thirty later batches are made."""
    split = ShardSet.open(tiny_set).split("train")
    device: ImagePipeline[Plan] = ImagePipeline(split, 16, gpu, threads=2, decode=decode)
    kept, copies = [], []
    for _, images in device.run(training(split).stream(0, 10, range(3))):
        gpu.synchronize()
        kept.append(images)
        copies.append(images.cpu())
    assert all(torch.equal(one.cpu(), copy) for one, copy in zip(kept, copies, strict=True))


def test_batches_behind_a_busy_step(tiny_set: Path, gpu: Accelerator) -> None:
    """Batches that are made on the side stream while the main one is busy arrive whole, with labels and noise."""
    split = ShardSet.open(tiny_set).split("train")
    plans = list(training(split).stream(0, 6, range(3)))
    wanted = [images.clone() for _, images in pipeline(split).run(iter(plans))]
    device: ImagePipeline[Plan] = ImagePipeline(split, 16, gpu, threads=2, decode="cpu")
    normalise, busy = Normalise(*normalisation_of("efficientnet-b0"), gpu), torch.randn(4096, 4096, device=gpu.device)
    on_cpu, sums, seen = Normalise(*normalisation_of("efficientnet-b0"), CPU), [], []
    with Feed(device, iter(plans), gpu) as feed:
        for batch in feed:
            for _ in range(5):
                busy = (busy @ busy).clamp(-1, 1)
            sums.append(normalise(batch.images).double().mean())  # queued behind the products; the batch is let go
            seen.append(batch.labels)
    expected = [float(on_cpu(images).double().mean()) for images in wanted]
    assert [float(one) for one in sums] == pytest.approx(expected, abs=0.05)
    for plan, labels in zip(plans, seen, strict=True):
        assert labels.tolist() == plan.labels.tolist()


def test_augmented_pixels_are_those_of_the_cpu(tiny_set: Path, gpu: Accelerator) -> None:
    """Changes after the resize, made on the device from the same draws, are the CPU's but for rounding."""
    split = ShardSet.open(tiny_set).split("train")
    policy = Policy(trivial=True, erasing=Erasing(0.5))
    plan = replace(training(split, group=48), policy=policy).plan(0, 0)
    (one,) = pipeline(split, batch=48).run(iter([plan]))
    wanted = changed(one[1].clone(), plan.changes, CPU)
    found = changed(one[1].to(gpu.device), plan.changes, gpu).cpu()
    gaps = (wanted.int() - found.int()).abs()
    assert float(gaps.float().mean()) <= 0.5
    assert float((gaps > 3).float().mean()) <= 0.01
