/** What SIGINT and SIGTERM mean: the first asks for an orderly end, the second for an immediate one. */
export interface Signals extends Disposable {
  readonly stopping: AbortSignal;
  readonly aborted: AbortSignal;
}

export function listenForSignals(process: NodeJS.Process): Signals {
  const stopping = new AbortController();
  const aborted = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) {
      aborted.abort(new DOMException('interrupted', 'AbortError'));
      return;
    }
    stopping.abort();
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
