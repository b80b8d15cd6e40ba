const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls the listener when the signal is aborted. Hundreds of requests wait for the signal of a run, and Node's signals
 * search all listeners to remove one; here, each signal has a single listener and a set of callbacks.
 * @param signal not aborted yet
 * @returns a function that removes the listener
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const all = listeners.get(signal) ?? watch(signal);
  all.add(listener);
  return () => all.delete(listener);
}

function watch(signal: AbortSignal): Set<() => void> {
  const all = new Set<() => void>();
  listeners.set(signal, all);
  const call = (): void => {
    for (const listener of all) listener();
    all.clear();
  };
  signal.addEventListener('abort', call, {once: true});
  return all;
}

/** Waits for the promise, or rejects with the signal's reason; the promise itself is not cancelled. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const {promise: aborted, reject} = Promise.withResolvers<never>();
  const forget = onAbort(signal, () => reject(signal.reason));
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    forget();
  }
}
