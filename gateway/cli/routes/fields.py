"""What the header fields of an answer mean for a list that is shared. Pure."""

from collections.abc import Iterable, Mapping

from adapters.upstream.shared_fields import NOT_SHARED

_NOT_OF_CALLERS = {"accept-encoding", "origin", ""}
_ALL_THE_SAME = {
    *("connection", "keep-alive", "transfer-encoding", "date", "server", "content-length"),
    *("content-encoding", "etag"),
}


def varies_with(headers: Mapping[str, str]) -> list[str]:
    """The fields of a request on which the answer depends, but for those that make no other list of it."""
    named = [name.strip() for name in headers.get("Vary", "").split(",")]
    return [name for name in named if name.lower() not in _NOT_OF_CALLERS]


def said_of_callers(headers: Mapping[str, str], sent: Iterable[str]) -> list[str]:
    """What speaks against one answer for all callers, or makes some of them go through; sentences.

    `sent` names the fields that the poll was told to send.
    """
    said = []
    vary = varies_with(headers)
    if "*" in vary:
        said.append(
            "Vary: * says that the answer depends on more than the request: every caller goes through"
        )
    elif vary:
        said.append(
            f"Vary: {', '.join(vary)} says that the answer depends on these: callers whose fields "
            "differ from the poll's go through"
        )
    if "accept" in {name.lower() for name in vary} - {name.lower() for name in sent}:
        said.append(
            "The poll says Accept: */*, as fetch() does: where callers say something else, as axios does, "
            'headers = { Accept = "application/json, text/plain, */*" } lets them share'
        )
    control = headers.get("Cache-Control", "").lower()
    if "private" in control:
        said.append("Cache-Control: private says that the answer is for one caller: is shared = true right")
    if "Set-Cookie" in headers:
        said.append("The answer sets a cookie, which no caller of the snapshot gets")
    return said


def not_passed_on(headers: Mapping[str, str]) -> list[str]:
    """The fields of an answer that callers of the snapshot do not get, but for those that follow from it."""
    names = dict.fromkeys(name for name in headers if name.lower() in NOT_SHARED - _ALL_THE_SAME)
    return list(names)
