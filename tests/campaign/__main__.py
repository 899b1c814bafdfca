"""`python -m tests.campaign [kills N] [damage N]`: kill and corrupt at random, for as long as you like.

Outside the test suite because of its length. Prints one line of JSON a campaign; exit code 1 if a promise broke.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.campaign.damage import damage_campaign
from tests.campaign.kills import kill_campaign

DEFAULTS = {"kills": 30, "damage": 500}


def main() -> int:
    """Run the campaigns that are named, or all of them."""
    words = sys.argv[1:]
    wanted = dict(zip(words[::2], map(int, words[1::2]), strict=True)) or DEFAULTS
    seed = int(os.environ.get("HEATS_CAMPAIGN_SEED", random.SystemRandom().randrange(1 << 30)))
    print(json.dumps({"campaign": "seed", "seed": seed}), flush=True)
    broken = 0
    with tempfile.TemporaryDirectory(prefix="heats-campaign-") as folder:
        os.environ |= {"HEATS_LOCK_DIR": f"{folder}/locks", "XDG_CACHE_HOME": f"{folder}/cache"}
        for name, campaign in (("kills", kill_campaign), ("damage", damage_campaign)):
            if name in wanted:
                report = campaign(Path(folder) / name, wanted[name], random.Random(seed))
                print(json.dumps({"campaign": name} | report), flush=True)
                broken += len(report["broken"])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
