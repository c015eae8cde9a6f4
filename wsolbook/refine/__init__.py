"""From a coarse localization map to one that ends where the object ends: dense CRF, PAMR, random walk."""
