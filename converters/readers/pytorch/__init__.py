"""What PyTorch writes: zip archives and older pickles, TorchScript, exported programs. Nothing of them is executed."""
