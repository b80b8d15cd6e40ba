import type {HttpEvent, HttpObserver, ShownHeaders} from '../../http/exchange.ts';
import type {Redactor} from '../../http/redaction.ts';
import {printable, printableJson} from '../../report/words.ts';
import type {Io} from '../io.ts';

/** The maximum size of a header and of the body of a refusal, in characters. */
const BODY_LIMIT = 1024;
const HEADER_LIMIT = 500;
/** The maximum length of secrets that may be cut, in characters. Tokens of token services have a few thousand. */
const SECRET_LIMIT = 8 * 1024;

/**
 * Writes each request and response to stderr, for `--debug`.
 * @param form `json`: as events among those of `--progress json`
 */
export function debugLog(
  {stderr, now, redactor}: Pick<Io, 'stderr' | 'now' | 'redactor'>,
  form: 'json' | 'text',
): HttpObserver {
  return (given) => {
    const {type, ...event} = withoutSecrets(given, redactor);
    const at = now().toISOString();
    stderr.write(
      form === 'json'
        ? `${printableJson({type, at, ...event})}\n`
        : linesOf({type, ...event} as HttpEvent)
            .map((line, index) => `${index === 0 ? at.slice(11, 23) : '  '} ${printable(line)}\n`)
            .join(''),
    );
  };
}

/** Servers repeat what they received. Text is redacted before it is shortened, so that no part of a secret remains. */
function withoutSecrets(event: HttpEvent, redactor: Redactor): HttpEvent {
  switch (event.type) {
    case 'http-request':
      return {...event, headers: clippedHeaders(event.headers, redactor)};
    case 'http-response':
      return {...event, headers: clippedHeaders(event.headers, redactor)};
    case 'http-end': {
      const {body, isCut, ...rest} = event;
      if (body === undefined) return event;
      const whole = redactor.redact(body);
      const known =
        isCut === true ? whole.slice(0, Math.max(0, whole.length - SECRET_LIMIT)) : whole;
      const shown = known.slice(0, BODY_LIMIT);
      return {...rest, body: shown, ...(shown.length < whole.length ? {isCut: true} : {})};
    }
    case 'http-retry':
      return event;
  }
}

function clippedHeaders(headers: ShownHeaders, redactor: Redactor): ShownHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      const shown = redactor.redact(value);
      return [name, shown.length > HEADER_LIMIT ? `${shown.slice(0, HEADER_LIMIT)}…` : shown];
    }),
  );
}

/**
 * `#3 > GET https://…`, `#3 < 200 in 12 ms`, `#3 = 512 bytes in 14 ms`, followed by headers and the body of a refusal.
 */
function linesOf(event: HttpEvent): readonly string[] {
  switch (event.type) {
    case 'http-request': {
      const {id, method, url, proxy, headers} = event;
      const way = proxy === undefined ? '' : ` through the proxy ${proxy}`;
      return [`#${id} > ${method} ${url}${way}`, ...headerLines(headers)];
    }
    case 'http-response': {
      const {id, status, afterMs, address, isNew, headers} = event;
      const connection =
        address === undefined ? '' : ` from ${address}, ${isNew ? 'new' : 'reused'} connection`;
      return [`#${id} < ${status} in ${afterMs} ms${connection}`, ...headerLines(headers)];
    }
    case 'http-end': {
      const {id, bytes, afterMs, body, isCut, error} = event;
      if (error !== undefined)
        return [`#${id} ! failed after ${afterMs} ms and ${bytes} bytes: ${error}`];
      if (bytes === 0) return [];
      const excerpt = body === undefined ? [] : `${body}${isCut ? '…' : ''}`.split(/\r?\n/);
      return [`#${id} = ${bytes} bytes in ${afterMs} ms`, ...excerpt];
    }
    case 'http-retry': {
      const {method, url, attempt, delayMs, reason} = event;
      return [`retry in ${delayMs} ms: ${method} ${url}: attempt ${attempt} failed: ${reason}`];
    }
  }
}

function headerLines(headers: ShownHeaders): readonly string[] {
  return Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
}
