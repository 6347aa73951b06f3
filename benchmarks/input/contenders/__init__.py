"""The contenders of `benchmarks.input.peers`.

Peers are not requirements of this project. To install all of them beside Headrace, in a separate environment:

    apt-get install g++ pkg-config libopencv-dev libturbojpeg0-dev libavdevice59 libavfilter8
    pip install timm torchvision opencv-python-headless mosaicml-streaming litdata
    pip install grain tensorflow-cpu spdl spdl-io ffcv

ffcv is compiled while it is installed, against OpenCV and libjpeg-turbo; SPDL opens the system's FFmpeg.
"""

from benchmarks.input.contenders import by_hand, dali, graphs, own_formats, torch_loaders
from benchmarks.input.contenders.task import Contender

CONTENDERS: dict[str, Contender] = {
    **dali.CONTENDERS,
    **torch_loaders.CONTENDERS,
    **own_formats.CONTENDERS,
    **graphs.CONTENDERS,
    **by_hand.CONTENDERS,
}
