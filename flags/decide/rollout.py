"""Which callers are in a rollout: a caller keeps its bucket, and a percentage is a number of buckets.

The rule is docs/protocol.md's, section 8; `tests/data/rollout_vectors.json` has examples of it for those who
compute it elsewhere.
"""

import mmh3

BUCKETS = 100_000


def bucket(group: str, value: str) -> int:
    """0 to 99,999: the place of the caller that `value` names, the same for every component of `group`.

    `value` may be any text, also such as UTF-8 can't carry (a header field of stray bytes): it is encoded
    with its lone surrogates passed through.
    """
    key = f"{group}:{value}".encode("utf-8", "surrogatepass")
    return mmh3.hash(key, 0, signed=False) * BUCKETS >> 32


def in_cohort(group: str, value: str, percentage: float) -> bool:
    """Whether `percentage` (0 to 100, at most three decimals) takes in the caller that `value` names.

    Whoever is in at one percentage is in at every higher one.
    """
    # The product is exact but for its binary noise: 0.057 * 1000 is 57.00000000000001.
    return bucket(group, value) < round(percentage * 1000)
