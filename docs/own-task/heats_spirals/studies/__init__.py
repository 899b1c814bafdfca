"""Study files of the task `spirals`; heats finds them through the entry point `heats.studies`."""
