import type {Slice} from './file-tree.ts';

/**
 * Reads a Range header with one range (RFC 9110, 14.1.2). Undefined: send everything, as for several ranges or a
 * malformed header. `unsatisfiable`: 416.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): Slice | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Number(last);
    return length === 0 || size === 0
      ? 'unsatisfiable'
      : {start: Math.max(size - length, 0), end: size};
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : {start, end};
}

/** `Content-Range: <start>-<end>` of a chunk that is being pushed, which has no unit (distribution-spec, "Pushing a blob in chunks"). */
export function parseChunkRange(header: string): Slice | undefined {
  const [, first, last] =
    /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) return undefined;
  return {start: Number(first), end: Number(last) + 1};
}
