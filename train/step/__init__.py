"""One optimizer update: loss, gradients, learning rate, optimizer and moving average."""
