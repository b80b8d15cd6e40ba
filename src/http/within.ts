/**
 * What `work` gives, if it does so in time.
 * @param ms how long it may take
 * @param late called when it takes longer; it is to make `work` fail
 */
export async function within<T>(ms: number, work: Promise<T>, late: () => void): Promise<T> {
  const timer = setTimeout(late, ms);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
