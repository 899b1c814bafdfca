"""The task `spirals`: which of two interleaved spirals a point lies on. An example of a task outside heats."""
