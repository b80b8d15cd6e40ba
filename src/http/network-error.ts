import {errors} from 'undici';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import {isTemporary} from './retry.ts';
import {describeRequest, type HttpRequest} from './request.ts';

interface NetworkFailure {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
  readonly retry: boolean;
}

const NO_HOST = 'check the host name and the DNS resolver of this machine';
const NO_CONNECTION =
  'check that the registry is running and that this machine can reach it, or set a proxy';
const BROKEN =
  'the connection was interrupted; a proxy or load balancer in between may have limits';

const DEFECT = 'the registry or a proxy in front of it is faulty; ask its administrator';

/** In TLS 1.3, a server can reject a client without a certificate only after the client has completed its handshake. */
const NO_RESPONSE =
  'the server closed the connection without responding; if it requires a client certificate, put the certificate and its key into certs.d';

const NOT_HTTP: NetworkFailure = {
  code: 'RESPONSE_INVALID',
  what: 'the response is not HTTP',
  hint: 'check host and port; if the registry uses TLS, remove --plain-http',
  retry: false,
};

const EXPLANATIONS: Readonly<Record<string, NetworkFailure>> = {
  ENOTFOUND: {code: 'HOST_NOT_FOUND', what: 'no such host', hint: NO_HOST, retry: false},
  EAI_AGAIN: {
    code: 'HOST_NOT_FOUND',
    what: 'the DNS resolver did not respond',
    hint: NO_HOST,
    retry: true,
  },
  ECONNREFUSED: connection('the connection was refused', NO_CONNECTION),
  EHOSTUNREACH: connection('no route to the host', NO_CONNECTION),
  ENETUNREACH: connection('no route to the network', NO_CONNECTION),
  EADDRNOTAVAIL: connection('no free local port', NO_CONNECTION),
  ECONNRESET: connection('the connection was reset', BROKEN),
  ECONNABORTED: connection('the connection was aborted', BROKEN),
  EPIPE: connection('the connection was closed', BROKEN),
  UND_ERR_SOCKET: connection('the connection was closed', BROKEN),
  UND_ERR_CLOSED: {
    ...connection('the client is closed', 'end the run before closing it'),
    retry: false,
  },
  UND_ERR_DESTROYED: {
    ...connection('the client is closed', 'end the run before closing it'),
    retry: false,
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    ...connection(
      'the response is not TLS',
      'if the registry does not use TLS, add --plain-http HOST',
    ),
    retry: false,
  },
  ETIMEDOUT: timeout('connecting timed out', NO_CONNECTION),
  UND_ERR_CONNECT_TIMEOUT: timeout('connecting timed out', NO_CONNECTION),
  UND_ERR_HEADERS_TIMEOUT: timeout(
    'no response in time',
    'the registry is overloaded or does not respond',
  ),
  UND_ERR_BODY_TIMEOUT: timeout(
    'the response stalled',
    'the registry or the network in between does not respond',
  ),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: connection('the response ended early', BROKEN),
  UND_ERR_HEADERS_OVERFLOW: {
    code: 'RESPONSE_INVALID',
    what: 'the response headers or trailers are too large',
    hint: DEFECT,
    retry: false,
  },
  ENDLESS_INTERIM_ANSWERS: {
    code: 'RESPONSE_INVALID',
    what: 'the server sends interim responses (1xx) without end',
    hint: DEFECT,
    retry: false,
  },
  ENDLESS_FRAMING: {
    code: 'RESPONSE_INVALID',
    what: 'the server sends a response without end and without content',
    hint: DEFECT,
    retry: false,
  },
  BODY_TOO_SLOW: {
    ...timeout(
      'the response body timed out',
      'the registry or the network in between is overloaded',
    ),
    retry: false,
  },
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: {
    code: 'BLOB_SIZE_MISMATCH',
    what: 'the request body is longer or shorter than announced',
    hint: 'the bytes at the source do not match the manifest; push the image to the source again',
    retry: false,
  },
};

/** The error for server behaviour that undici accepts and transship does not. */
export function protocolError(
  code: 'ENDLESS_INTERIM_ANSWERS' | 'ENDLESS_FRAMING' | 'BODY_TOO_SLOW',
): Error {
  return Object.assign(new Error(code), {code});
}

/** No connection through a proxy was made. */
export class ProxyError extends Error {
  /** `host:port` */
  readonly proxy: string;
  /** The status of the proxy's response, if that is the reason. */
  readonly status: number | undefined;

  constructor(proxy: string, cause: Error | undefined, status?: number) {
    super(cause?.message ?? `status ${status}`, {cause});
    this.proxy = proxy;
    this.status = status;
  }
}

/**
 * Converts an error of undici or Node to a TransshipError. A TransshipError is returned unchanged (a request body may
 * throw one). An aborted signal is not a failure: its reason is thrown.
 */
export function networkError(
  thrown: unknown,
  request: Pick<HttpRequest, 'method' | 'url' | 'side' | 'signal'>,
): TransshipError {
  request.signal.throwIfAborted();
  if (thrown instanceof TransshipError) return thrown;
  const system = codeOf(thrown);
  const {code, what, hint, retry} =
    thrown instanceof ProxyError ? explainProxy(thrown) : failureOf(thrown, request.url);
  const detail = system === undefined ? messageOf(thrown) : system;
  return new TransshipError(code, `${describeRequest(request)}: ${what} (${detail})`, {
    side: request.side,
    hint,
    retry,
    cause: thrown,
  });
}

function failureOf(thrown: unknown, url: URL): NetworkFailure {
  if (url.protocol === 'https:' && sentNothing(thrown))
    return connection('the connection was closed', NO_RESPONSE);
  return thrown instanceof errors.HTTPParserError ? NOT_HTTP : explain(codeOf(thrown));
}

const PROXY = 'check the proxy in HTTPS_PROXY or HTTP_PROXY, or exclude the host with NO_PROXY';

function explainProxy({proxy, status, cause}: ProxyError): NetworkFailure {
  if (status === undefined) {
    const {code, what, retry} =
      cause instanceof errors.HTTPParserError ? NOT_HTTP : explain(codeOf(cause));
    return {code, what: `the proxy ${proxy}: ${what}`, hint: PROXY, retry};
  }
  const what = `the proxy ${proxy} refused the connection`;
  if (status === 407) {
    const hint =
      'put user name and password into the URL of the proxy: http://user:password@host:port';
    return {...connection(what, hint), retry: false};
  }
  const hint = isTemporary(status)
    ? 'the proxy cannot reach the host; check the host name, and ask the administrator of the proxy'
    : 'ask the administrator of the proxy whether it allows connections to the host';
  return {...connection(what, hint), retry: isTemporary(status)};
}

function explain(code: string | undefined): NetworkFailure {
  const known = code === undefined ? undefined : EXPLANATIONS[code];
  if (known) return known;
  if (code !== undefined && isCertificateCode(code)) {
    return {
      code: 'TLS_CERTIFICATE',
      what: 'the TLS certificate was rejected',
      hint: 'add its CA with --ca-file FILE or in certs.d; if the registry requires a client certificate, put that into certs.d too',
      retry: false,
    };
  }
  return connection('the request failed', BROKEN);
}

/** Whether the server closed a connection without having sent any data, according to undici. */
function sentNothing(thrown: unknown): boolean {
  return thrown instanceof errors.SocketError && thrown.socket?.bytesRead === 0;
}

function isCertificateCode(code: string): boolean {
  return (
    /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CRL_|INVALID_CA|HOSTNAME_MISMATCH)/.test(
      code,
    ) || /^ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)/.test(code)
  );
}

function codeOf(thrown: unknown): string | undefined {
  for (
    let error = thrown, depth = 0;
    error instanceof Error && depth < 4;
    error = error.cause, depth++
  ) {
    const inner = error instanceof AggregateError ? error.errors[0] : undefined;
    const code = (error as NodeJS.ErrnoException).code ?? (inner as NodeJS.ErrnoException)?.code;
    // Undici wraps socket errors; the cause is more specific.
    if (typeof code === 'string' && !(code === 'UND_ERR_SOCKET' && codeOf(error.cause)))
      return code;
  }
  return undefined;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function connection(what: string, hint: string): NetworkFailure {
  return {code: 'CONNECTION_FAILED', what, hint, retry: true};
}

function timeout(what: string, hint: string): NetworkFailure {
  return {code: 'TIMEOUT', what, hint, retry: true};
}
