"""The rules of events, cursors, selection and frames: no asyncio, no sockets, no clock."""
