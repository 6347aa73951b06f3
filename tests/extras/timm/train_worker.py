"""One rank of a real run with the network that its recipe names: see `tests.ddp.train_worker`."""

from headrace.train.run.assemble import build_network
from tests.ddp.train_worker import main

if __name__ == "__main__":
    main(build_network)
