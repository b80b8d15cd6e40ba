/** The piece of a body that an answer holds, in bytes; `end` is exclusive. */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  /** Undefined: the server does not say (`*`). */
  readonly total: number | undefined;
}

/** Reads `Content-Range: bytes 0-9/100` (RFC 9110, section 14.4); undefined: not to be understood. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const match = /^\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/i.exec(value ?? '');
  if (!match) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  const total = match[3] === '*' ? undefined : Number(match[3]);
  if (end <= start || (total !== undefined && end > total)) return undefined;
  return {start, end, total};
}

/** `bytes=5-` or `bytes=5-9`; `end` is exclusive. */
export function formatByteRange(start: number, end?: number): string {
  return `bytes=${start}-${end === undefined ? '' : end - 1}`;
}
