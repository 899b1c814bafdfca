"""numpy, imported when something of it is first used: the app paints before that, which takes a tenth of a second.

`from engine.late import np` in place of `import numpy as np`, in modules that are imported before there is anything to
compute. Whoever reads runs in a thread beside the screen uses it first, so that no key waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]


class _Late:
    """What is asked of it is asked of numpy; a second time, it is here already."""

    def __getattr__(self, name: str) -> Any:
        import numpy

        value = getattr(numpy, name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import numpy as np
else:
    np = _Late()
