"""Data sets: the world of critters, and the official layouts of VOC 2012, CUB-200-2011 and ILSVRC."""
