"""Makes one optimizer update: loss, gradients, learning rate, optimizer and moving average of the weights."""
