"""The toy."""

from tests.engine.train.toy import ToyTask as TASK

__all__ = ["TASK"]
