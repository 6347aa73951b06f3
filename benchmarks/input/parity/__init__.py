"""How far our pixels are from torchvision's, operation by operation, and what that does to a checkpoint's accuracy."""
