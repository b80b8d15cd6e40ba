/** A request as an access log has it. */
export interface LoggedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly status: number;
  /** Of the answer's body. */
  readonly bytes: number;
  readonly userAgent: string;
}

/** Methods that change something at a registry. */
const WRITES = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const QUOTED = '"((?:\\\\.|[^"\\\\])*)"';
const LINE = new RegExp(
  `^\\S+ \\S+ \\S+ \\[[^\\]]*\\] "(\\S+) (\\S+) [^"]*" (\\d{3}) (\\d+|-) ${QUOTED} ${QUOTED}$`,
);

/** Reads lines in Apache's combined format; our own probes are left out. */
export function parseAccessLog(text: string): readonly LoggedRequest[] {
  const requests: LoggedRequest[] = [];
  for (const line of text.split('\n')) {
    const [, method = '', path = '', status, bytes, , userAgent = ''] = LINE.exec(line) ?? [];
    if (method === '' || userAgent.startsWith('probe-')) continue;
    requests.push({method, path, status: Number(status), bytes: Number(bytes) || 0, userAgent});
  }
  return requests;
}

export function isWrite(request: LoggedRequest): boolean {
  return WRITES.has(request.method);
}

/** How many requests there were of each method. */
export function countByMethod(
  requests: readonly LoggedRequest[],
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const {method} of requests) counts[method] = (counts[method] ?? 0) + 1;
  return counts;
}
