/**
 * What SIGINT and SIGTERM mean: the first asks for an orderly end, the second for an immediate one. The third waits for
 * nothing: the process is gone, as after a kill, from which a run recovers as well.
 */
export interface Signals extends Disposable {
  readonly stopping: AbortSignal;
  readonly aborted: AbortSignal;
}

export function listenForSignals(process: NodeJS.Process): Signals {
  const stopping = new AbortController();
  const aborted = new AbortController();
  const onSignal = (): void => {
    if (aborted.signal.aborted) process.exit(130);
    if (stopping.signal.aborted) aborted.abort(new DOMException('interrupted', 'AbortError'));
    else stopping.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    stopping: stopping.signal,
    aborted: aborted.signal,
    [Symbol.dispose]: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
