// A timer that can be aborted.

/** Resolve after `seconds`, or as soon as `signal` is aborted. */
export function wait(seconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done);
    return undefined;
  });
}
