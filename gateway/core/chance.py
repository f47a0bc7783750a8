"""Where chance comes in: delays that are drawn so that clients and nodes do not all come at once."""

import random

draw = random.Random().uniform
"""A number between two others. Its source is its own: what else draws, or seeds, does not meet it."""
