/** Whether a process with this id exists. */
export function isRunning(self: NodeJS.Process, pid: number): boolean {
  try {
    self.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
