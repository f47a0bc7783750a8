"""Several conversations over one NodeMessages, each under a topic: one byte before each message."""

from collections.abc import Callable, Mapping

from gateway.ports.node_messages import MAX_MESSAGE_BYTES, MessageCount, NodeMessages

MAX_TOPIC_BYTES = MAX_MESSAGE_BYTES - 1
"""The largest message of a topic."""

PRESENCE = b"p"
"""Who is in which channel, and what is said there (gateway/delivery/presence/nodes.py)."""
REPORTS = b"r"
"""What clients report that one node alone can't judge (gateway/migration/shared_reports.py)."""


class Topic:
    """What the nodes say under one topic: a gateway.ports.node_messages.NodeTopic."""

    def __init__(self, name: bytes, messages: NodeMessages) -> None:
        self._name = name
        self._messages = messages
        self.heard: Callable[[bytes], None] | None = None

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Has `heard` called with each message of another node, on the event loop. Once, before the start."""
        if self.heard is not None:
            raise ValueError(f"somebody listens to the topic {self._name!r} already")
        self.heard = heard

    def send(self, message: bytes) -> None:
        """Sends a message of MAX_TOPIC_BYTES at most (else ValueError), as NodeMessages.send does."""
        self._messages.send(self._name + message)


class NodeTopics:
    """Owns `messages`, and gives out topics. Nobody hears of a topic that somebody else was given."""

    def __init__(self, messages: NodeMessages) -> None:
        self._messages = messages
        self._topics: dict[bytes, Topic] = {}
        self._ignored = 0

    @property
    def counts(self) -> Mapping[MessageCount, int]:
        """Those of NodeMessages; `ignored` has the messages of topics that nobody here listens to as well."""
        counts = dict(self._messages.counts)
        counts["ignored"] = counts.get("ignored", 0) + self._ignored
        return counts

    def topic(self, name: bytes) -> Topic:
        """The topic of that name, which is one byte. Raises ValueError for another, or a second time."""
        if len(name) != 1 or name in self._topics:
            raise ValueError(f"{name!r} is no topic that is free")
        topic = self._topics[name] = Topic(name, self._messages)
        return topic

    async def start(self) -> None:
        """Connects, as NodeMessages.start does. Whoever is to hear something listens by then."""
        await self._messages.start(self._heard)

    async def close(self) -> None:
        """Ends as NodeMessages.close does. Closing twice, or before `start`, does nothing."""
        await self._messages.close()

    def _heard(self, raw: bytes) -> None:
        topic = self._topics.get(raw[:1])
        if topic is None or topic.heard is None:
            self._ignored += 1
        else:
            topic.heard(raw[1:])
