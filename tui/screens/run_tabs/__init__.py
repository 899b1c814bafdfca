"""The tabs of a run's screen, one file each."""
