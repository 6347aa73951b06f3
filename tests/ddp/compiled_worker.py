"""train_worker.py with a compiler that traces and guards as any, but generates no code: quick on a CPU."""

from headrace.train.step.compiled import Compilable
from tests.ddp.train_worker import main

if __name__ == "__main__":
    Compilable.__init__.__defaults__ = ("eager", "channels_last", None)
    main()
