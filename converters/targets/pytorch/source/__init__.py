"""A neutral graph as the source text of one readable nn.Module; torch is not imported."""

from converters.targets.pytorch.source.writer import BESIDE, Source, write

__all__ = ["BESIDE", "Source", "write"]
