"""The toy as a task's package, for trainers in processes of their own."""
