"""What metrics share: means over images, numbers of models, intervals."""
