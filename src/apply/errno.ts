/** Whether a thrown value is the system's error of this name, such as `ENOENT` (errno(3)). */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
