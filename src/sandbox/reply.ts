/** What is sent back. A body that is not at hand is opened only when it is sent; HEAD sends none. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
}

/** An answer without a body. */
export function emptyReply(status: number, headers: Reply['headers'] = {}): Reply {
  return {status, headers: {...headers, 'content-length': '0'}};
}

export function jsonReply(status: number, value: unknown, headers: Reply['headers'] = {}): Reply {
  return bytesReply(status, Buffer.from(JSON.stringify(value)), {
    'content-type': 'application/json',
    ...headers,
  });
}

export function bytesReply(status: number, body: Uint8Array, headers: Reply['headers']): Reply {
  return {status, headers: {...headers, 'content-length': String(body.byteLength)}, body};
}
