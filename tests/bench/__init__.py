"""What heats costs, against named peers, measured in the same run. Commands, not tests: see README.md."""
