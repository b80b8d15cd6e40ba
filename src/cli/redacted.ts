import type {Redactor} from '../http/secrets.ts';
import type {Io, TextSink} from './io.ts';

/** The last line of defence for answers: whatever is written, no secret is in it. */
export function redactedSink(sink: TextSink, redactor: Redactor): TextSink {
  return {write: (text) => sink.write(redactor.redact(text))};
}

/** The same for a stream that is more than a sink: a terminal that bars are drawn on. */
export function redactedStream(stream: Io['stderr'], redactor: Redactor): Io['stderr'] {
  return Object.assign(Object.create(stream) as Io['stderr'], {
    write: (text: string | Uint8Array) =>
      stream.write(typeof text === 'string' ? redactor.redact(text) : text),
  });
}
