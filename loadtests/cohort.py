"""A gateway with a flag that has to be decided for each caller anew, and clients that it lets stream."""

import json
import random
import uuid
from functools import cache
from urllib.parse import urlencode

from flags.decide.rollout import in_cohort

COMPONENT = "orders"
PERCENTAGE = 50
CONFIG = f"""
[components.{COMPONENT}]
entities = ["order"]
"""
FLAGS_FILE = "flags.json"
"""Where a gateway looks for its flags, beside its configuration, unless it is told otherwise."""
FLAGS = json.dumps(
    {
        "version": 1,
        "flags": {COMPONENT: {"stage": "live", "percentage": PERCENTAGE, "stickiness": "client"}},
    }
)


def client_id(index: int) -> str:
    """Of client `index`: a random id that the percentage takes in, the same one each time."""
    draw = random.Random(index)
    while True:
        found = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        if in_cohort(COMPONENT, found, PERCENTAGE):
            return found


@cache
def query_of(index: int) -> str:
    """What stream `index` asks for: the component's entity, by a client id of its own."""
    return urlencode({"component": COMPONENT, "entity": "order", "clientId": client_id(index)})
