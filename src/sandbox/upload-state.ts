/**
 * The `_state` in an upload's Location: which upload, and how many bytes it had. Clients must take it for opaque;
 * one that goes on with an old Location is found out by it, as GitLab's registry does (handlers/blobupload.go).
 */
export function encodeUploadState(id: string, offset: number): string {
  return Buffer.from(`${id}:${offset}`).toString('base64url');
}

/** The offset; undefined: not a state of this upload. */
export function decodeUploadState(state: string | null, id: string): number | undefined {
  const [found, offset] = Buffer.from(state ?? '', 'base64url')
    .toString()
    .split(':');
  return found === id && offset !== undefined && /^\d{1,15}$/.test(offset)
    ? Number(offset)
    : undefined;
}
