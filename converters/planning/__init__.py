"""(model, target) -> plan: pairing, coverage, refusal, all before a byte of data is read; execution moves elements."""
