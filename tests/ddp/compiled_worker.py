"""train_worker.py with a compiler that traces and guards as any, but generates no code: quick on a CPU."""

from tests.ddp.train_worker import main
from train.compiled import Compilable

if __name__ == "__main__":
    Compilable.__init__.__defaults__ = ("eager",)
    main()
