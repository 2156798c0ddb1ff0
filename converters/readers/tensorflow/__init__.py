"""TensorFlow 1 and 2 without TensorFlow: checkpoints of every format, SavedModels, frozen graphs."""
