"""Options of the toy."""

from tests.engine.train.toy import ToyConfig as Config

__all__ = ["Config"]
