import type {Report} from '../../model/event.ts';
import {printableJson} from '../../report/words.ts';
import type {TextSink} from '../io.ts';

/** One JSON object for each event and line (NDJSON), as it happens. */
export function jsonReporter(sink: TextSink): Report {
  return (event) => sink.write(`${printableJson(event)}\n`);
}
