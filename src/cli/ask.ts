import {createInterface} from 'node:readline/promises';

/** Asks a yes or no at a terminal; everything but a yes is a no, so is the end of the input. */
export function askAtTerminal(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): (question: string) => Promise<boolean> {
  return async (question) => {
    const lines = createInterface({input, output});
    const ended = new AbortController();
    lines.once('close', () => ended.abort());
    try {
      const answer = await lines.question(`${question} [y/N] `, {signal: ended.signal});
      return /^y(?:es)?$/i.test(answer.trim());
    } catch (error) {
      if (ended.signal.aborted) return false;
      throw error;
    } finally {
      lines.close();
    }
  };
}
