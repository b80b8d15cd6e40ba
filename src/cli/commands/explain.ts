import type {Command} from 'commander';
import {allCodes, type Explanation, explain} from '../../doctor/explain.ts';
import {printable, printableJson} from '../../report/words.ts';
import type {Io} from '../io.ts';
import {addFormatFlag} from '../options.ts';

/** `transship explain`: the meaning of a code, or of a registry's message. */
export function addExplain(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('explain')
    .summary('explain an error code, or the words of a registry')
    .description(
      'Says what an error code of transship means, or what docker, GitLab or a registry said: whose side it is on, what to do, and which command helps. Works offline. Without arguments, lists all codes. Exit 1: nothing is known of it.',
    )
    .argument('[words...]', 'a code, or a message as it was printed; "-" reads it from stdin')
    .addHelpText(
      'after',
      `
Examples:
  transship explain UPLOAD_LOST
  transship explain 'denied: requested access to the resource is denied'
  docker push … 2>&1 | transship explain -`,
    );
  addFormatFlag(command, ['text', 'json']).action(
    async (words: readonly string[], {format}: {readonly format: string}) => {
      const text = words.length === 1 && words[0] === '-' ? await piped(io) : words.join(' ');
      const found = text === '' ? allCodes() : explain(text);
      if (format === 'json') io.stdout.write(`${printableJson({explanations: found}, 2)}\n`);
      else if (found.length > 0) io.stdout.write(found.map(explanationText).join('\n'));
      else io.stdout.write(notKnown(text));
      done(found.length === 0 ? 1 : 0);
    },
  );
}

/** The maximum size of a message, in bytes. */
const LIMIT = 1024 * 1024;

async function piped({stdin}: Io): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stdin?.() ?? []) {
    size += piece.byteLength;
    if (size > LIMIT) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString().trim();
}

function explanationText({about, exit, meaning, whose, remedy, command}: Explanation): string {
  const lines = [
    `${printable(about)}${exit === undefined ? '' : ` (exit ${exit})`}`,
    `  means  ${meaning}`,
    ...(whose === undefined ? [] : [`  who    ${whose}`]),
    `  to do  ${remedy}`,
    ...(command === undefined ? [] : [`  run    ${command}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function notKnown(text: string): string {
  return `Nothing is known of "${printable(text.slice(0, 200))}". Paste the whole message; "transship explain" lists all codes.\n`;
}
