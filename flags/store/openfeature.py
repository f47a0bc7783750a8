"""OpenFeature, both ways: our decisions for its clients, and flags that any of its providers keeps.

Needs the extra `openfeature`; no other module imports it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Never, TypeVar, cast, get_args

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, InvalidContextError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from flags.decide.caller import Caller, comparable_claims
from flags.decide.decision import Cause, Decision, decide
from flags.decide.flag import Flag, Flags
from flags.decide.modes import Delivery, Mode
from flags.errors import FlagError, InvalidFlag, StoreUnreadable, StoreUnwritable
from flags.store.background import BackgroundThread, Watch
from flags.store.ledger import Ledger, reconciled
from flags.store.port import FlagStore, Subscriber
from flags.store.publisher import Publisher
from flags.store.revisions import History, attribution
from flags.tell import CountingTell, Tell
from flags.times import rfc3339, wall_ms

POLL_SECONDS = 0.5
"""How often the provider is asked."""

KILL_ALL_KEY = "killAll"
"""The boolean flag that is the kill switch for everything."""

Value = TypeVar("Value")
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class TidegateProvider(AbstractProvider):
    """Answers from a FlagStore: a flag's key is a component, its value whether the caller streams.

    As a boolean that is true for streaming, as a string the mode; other types mismatch. The context's
    attributes are those of `caller_of`. A component without a flag streams, as it does everywhere. Clients
    hear of changes, and of flags that are stale, by the provider's events.
    """

    def __init__(self, store: FlagStore) -> None:
        super().__init__()
        self._store = store
        self._unsubscribe: Callable[[], None] = lambda: None

    def get_metadata(self) -> Metadata:
        return Metadata(name="tidegate")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        self._unsubscribe()
        self._unsubscribe = self._store.subscribe(self._changed)

    def shutdown(self) -> None:
        self._unsubscribe()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(
            flag_key, default_value, evaluation_context, lambda decision: decision.mode is Mode.STREAMING
        )

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolve(
            flag_key, default_value, evaluation_context, lambda decision: decision.mode.value
        )

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return _mismatch(default_value)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return _mismatch(default_value)

    def resolve_object_details(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        return _mismatch(default_value)

    def _resolve(
        self,
        component: str,
        default: Value,
        context: EvaluationContext | None,
        value: Callable[[Decision], Value],
    ) -> FlagResolutionDetails[Value]:
        flags = self._store.snapshot()
        flag = flags.get(component)
        decision = decide(flag, caller_of(context), kill_all=flags.kill_all, stale=flags.stale)
        if decision.cause is Cause.TARGETING_KEY_MISSING:
            return FlagResolutionDetails(
                default,
                error_code=ErrorCode.TARGETING_KEY_MISSING,
                error_message=f"{component} is rolled out by {flag.stickiness}" if flag else None,
                reason=decision.reason.value,
            )
        metadata: dict[str, bool | int | float | str] = {}
        if flag is not None:
            metadata = {"stage": flag.stage.value, "revision": flag.revision}
        if decision.cause is not None:
            metadata["cause"] = decision.cause.value
        return FlagResolutionDetails(
            value(decision),
            reason=decision.reason.value,
            variant=decision.variant,
            flag_metadata=metadata,
        )

    def _changed(self, before: Flags, after: Flags) -> None:
        components = sorted({*before.by_component, *after.by_component})
        changed = [name for name in components if before.get(name) != after.get(name)]
        if before.kill_all is not after.kill_all:
            changed = components
        if changed:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))
        if after.stale and not before.stale:
            self.emit_provider_stale(
                ProviderEventDetails(message="The store holds flags that can't be used.")
            )
        elif before.stale and not after.stale:
            self.emit_provider_ready(ProviderEventDetails())


def caller_of(context: EvaluationContext | None) -> Caller:
    """The caller that an evaluation context describes.

    The targeting key is the user, unless there is a `user`. `session`, `client`, `tenant`, `clientVersion`,
    `preference` and `capable` are the caller's members of these names, and every other attribute is a claim.
    Raises InvalidContextError where one of the named ones is of another type.
    """
    if context is None:
        return Caller()
    attributes: dict[str, Any] = dict(context.attributes)
    preference = attributes.pop("preference", "auto")
    capable = attributes.pop("capable", True)
    if preference not in get_args(Delivery):
        raise InvalidContextError(f"preference must be one of {', '.join(get_args(Delivery))}")
    if not isinstance(capable, bool):
        raise InvalidContextError("capable must be a boolean")
    return Caller(
        user=_text(attributes, "user") or context.targeting_key,
        session=_text(attributes, "session"),
        client=_text(attributes, "client"),
        tenant=_text(attributes, "tenant"),
        client_version=_text(attributes, "clientVersion"),
        claims=comparable_claims(attributes),
        preference=cast(Delivery, preference),
        capable=capable,
    )


def _text(attributes: dict[str, Any], name: str) -> str | None:
    value = attributes.pop(name, None)
    if value is not None and not isinstance(value, str):
        raise InvalidContextError(f"{name} must be a string")
    return value


def _mismatch(default: Value) -> FlagResolutionDetails[Value]:
    return FlagResolutionDetails(
        default,
        error_code=ErrorCode.TYPE_MISMATCH,
        error_message="a component's mode is a boolean or a string",
        reason="ERROR",
    )


class OpenFeatureFlagStore:
    """A FlagStore over an OpenFeature client: reads, and leaves changing to whatever keeps its flags.

    Each of `components` is asked for as an object flag with that key, whose value is the flag's JSON; an
    empty one, or none, is no flag. One thread asks, every `poll_seconds`; the snapshot is what it heard last.
    What can't be used leaves the flag as it was, with `stale` in the snapshot. Revisions count from `start`.
    """

    def __init__(
        self,
        client: OpenFeatureClient,
        components: Sequence[str],
        *,
        tell: Tell,
        now_ms: Callable[[], int] = wall_ms,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._tell = CountingTell(tell)
        self.counts: Counter[str] = self._tell.counts
        self._client = client
        self._components = tuple(components)
        self._now_ms = now_ms
        self._ledger = Ledger()
        self._refusals: Mapping[str, str] = {}
        self._publisher = Publisher(self._tell)
        self._thread = BackgroundThread("openfeature")
        self._watch = Watch(self.refresh, poll_seconds, self._tell, "openfeature_watch")

    @property
    def trouble(self) -> str | None:
        return next(iter(self._refusals.values()), None)

    async def start(self) -> None:
        self._thread.start()
        await self.refresh()
        if self._refusals:
            await self.close()
            name, reason = next(iter(self._refusals.items()))
            raise StoreUnreadable(f"The OpenFeature provider's flag {name} can't be used: {reason}.")
        self._watch.start()

    async def close(self) -> None:
        await self._watch.close()
        await self._thread.close()

    def snapshot(self) -> Flags:
        return self._publisher.flags

    async def change(
        self,
        component: str,
        fields: Mapping[str, Any],
        *,
        expected_revision: int | None,
        who: str,
        reason: str,
        whole: bool = False,
    ) -> Flag:
        self._refuse_change()

    async def rollback(
        self,
        component: str,
        *,
        to_revision: int | None = None,
        expected_revision: int | None = None,
        who: str,
        reason: str,
    ) -> Flag:
        self._refuse_change()

    async def remove(
        self, component: str, *, expected_revision: int | None = None, who: str, reason: str
    ) -> int:
        self._refuse_change()

    async def kill_all(self, killed: bool, *, who: str, reason: str) -> None:
        self._refuse_change()

    def revisions(self, component: str | None) -> History:
        return self._ledger.revisions(component)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._publisher.subscribe(subscriber)

    async def refresh(self) -> None:
        """Asks for every flag now, and takes over what changed."""
        written, refusals = await self._thread.run(self._ask)
        by = attribution(self._provider(), "found at the provider", rfc3339(self._now_ms()))
        self._ledger = reconciled(self._ledger, written, by=by)
        for name, reason in refusals.items():
            if self._refusals.get(name) != reason:
                self._tell(logging.ERROR, "openfeature_flag_refused", flag=name, reason=reason)
        self._refusals = refusals
        self._publisher.publish(self._ledger.snapshot(stale=bool(refusals)))

    def _provider(self) -> str:
        return self._client.provider.get_metadata().name

    def _refuse_change(self) -> Never:
        raise StoreUnwritable(
            f"The flags are kept by the OpenFeature provider {self._provider()}: change them there."
        )

    def _ask(self) -> tuple[Ledger, Mapping[str, str]]:
        """What the provider says now, and why some of it can't be used, by key."""
        flags: dict[str, Flag] = {}
        refusals: dict[str, str] = {}
        kill_all = self._ledger.kill_all
        for component in self._components:
            try:
                flag = self._flag(component)
            except FlagError as error:
                refusals[component] = error.detail
                flag = self._ledger.flags.get(component)
            if flag is not None:
                flags[component] = flag
        answer = self._client.get_boolean_details(KILL_ALL_KEY, default_value=False)
        if answer.error_code in (None, ErrorCode.FLAG_NOT_FOUND):
            kill_all = answer.value
        else:
            refusals[KILL_ALL_KEY] = answer.error_message or str(answer.error_code)
        return Ledger(MappingProxyType(flags), kill_all), refusals

    def _flag(self, component: str) -> Flag | None:
        answer = self._client.get_object_details(component, default_value={})
        if answer.error_code is ErrorCode.FLAG_NOT_FOUND:
            return None
        if answer.error_code is not None:
            raise StoreUnreadable(answer.error_message or str(answer.error_code))
        if not isinstance(answer.value, Mapping):
            raise InvalidFlag([{"pointer": "", "detail": "must be an object"}])
        if not answer.value:
            return None
        if answer.value.get("component", component) != component:
            raise InvalidFlag([{"pointer": "/component", "detail": f"must be {component}, or be left out"}])
        return Flag.parse({"revision": 1, **answer.value, "component": component})
