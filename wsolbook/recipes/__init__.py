"""The settings of the papers, one short file each."""
