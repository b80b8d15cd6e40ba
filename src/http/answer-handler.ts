import type {AnswerData} from './answer.ts';
import type {Controller, Handler} from './exchange.ts';
import {onAbort} from './on-abort.ts';
import {PushedBody} from './pushed-body.ts';
import type {DispatchedRequest, SmallDispatcher} from './small-dispatcher.ts';

/**
 * Sends one request and gives its answer. Undici's own `request` makes a stream for each answer, which costs more than
 * all the rest of a request that has no body to speak of.
 * @throws the errors of Node and undici, as `networkError` understands them; what a request body throws; the signal's
 *   reason
 */
export function answerTo(
  dispatcher: SmallDispatcher,
  request: DispatchedRequest,
  signal: AbortSignal,
): Promise<AnswerData> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    dispatcher.dispatch(request, new AnswerHandler(signal, resolve, reject));
  });
}

class AnswerHandler implements Handler {
  readonly #signal: AbortSignal;
  readonly #answered: (data: AnswerData) => void;
  readonly #failed: (reason: Error) => void;
  readonly #forget: () => void;
  #controller: Controller | undefined;
  #body: PushedBody | undefined;

  constructor(
    signal: AbortSignal,
    answered: (data: AnswerData) => void,
    failed: (reason: Error) => void,
  ) {
    this.#signal = signal;
    this.#answered = answered;
    this.#failed = failed;
    this.#forget = onAbort(signal, () => this.#abort());
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#signal.aborted) this.#abort();
  }

  onResponseStart(
    controller: Controller,
    statusCode: number,
    headers: AnswerData['headers'],
  ): void {
    // Those before the final answer (1xx) tell nothing that we need.
    if (statusCode < 200) return;
    this.#body = new PushedBody(controller);
    this.#answered({statusCode, headers, body: this.#body});
  }

  onResponseData(_controller: Controller, piece: Buffer): void {
    this.#body?.push(piece);
  }

  onResponseEnd(): void {
    this.#forget();
    this.#body?.end();
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#forget();
    this.#failed(error);
    this.#body?.end(error);
  }

  /** A request that still waits for a connection ends at once, too. */
  #abort(): void {
    const reason = this.#signal.reason as Error;
    this.#failed(reason);
    this.#body?.end(reason);
    this.#controller?.abort(reason);
  }
}
