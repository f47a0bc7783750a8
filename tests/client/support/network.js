// The network as one tab of a browser sees it: what arrives waits while the tab is frozen, and ends with it.

/** `fetch` of a tab: requests of a tab that is killed are aborted, as its process is gone. */
export function fetchIn(tab, fetch) {
  const later = (promise) =>
    new Promise((resolve, reject) => {
      promise.then(
        (value) => tab.task(() => resolve(value)),
        (error) => tab.task(() => reject(error)),
      );
    });

  const readerIn = (reader) => ({
    read: () => later(reader.read()),
    cancel: (reason) => reader.cancel(reason),
    releaseLock: () => reader.releaseLock?.(),
  });

  return async (url, options = {}) => {
    const signal = AbortSignal.any([tab.signal, ...(options.signal ? [options.signal] : [])]);
    const response = await later(fetch(url, { ...options, signal }));
    const { body } = response;
    return body ? { ...response, body: { getReader: () => readerIn(body.getReader()) } } : response;
  };
}
