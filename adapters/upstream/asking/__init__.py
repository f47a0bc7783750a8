"""One poll of an upstream: what is asked, and what is made of the answer on its way in."""
