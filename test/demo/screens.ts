import {execFile, execFileSync} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {mkdir, rm} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {emptyReply, type Intercept} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';

/*
 * Shows the progress of copies on terminals of several sizes, as tmux captures them: a slow copy, a retry, a wait,
 * Ctrl-C, a resumed run, a failure, a resize. Run: node test/demo/screens.ts [80x24 …]; needs tmux.
 */

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const MiB = 1024 * 1024;
const FROM = 'team/platform/application' as RepositoryPath;
const SIZES = process.argv.length > 2 ? process.argv.slice(2) : ['80x24', '120x40', '40x20'];

/** Sends keys to, or captures, a terminal of its own. */
class Tmux {
  readonly #session = `transship-${randomUUID()}`;

  constructor(size: string) {
    const [columns = '80', rows = '24'] = size.split('x');
    const env = ['-e', 'LC_ALL=C.UTF-8', '-e', 'PS1=$ ', '-e', `HOME=${process.env['HOME'] ?? ''}`];
    this.#run(
      'new-session',
      '-d',
      '-s',
      this.#session,
      '-x',
      columns,
      '-y',
      rows,
      ...env,
      'bash --norc',
    );
    this.#run('set-option', '-t', this.#session, 'window-size', 'manual');
  }

  type(...keys: readonly string[]): void {
    this.#run('send-keys', '-t', this.#session, ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#run('resize-window', '-t', this.#session, '-x', String(columns), '-y', String(rows));
  }

  screen(): string {
    return this.#run('capture-pane', '-p', '-t', this.#session).trimEnd();
  }

  end(): void {
    this.#run('kill-session', '-t', this.#session);
  }

  #run(...args: readonly string[]): string {
    return execFileSync('tmux', ['-L', 'transship', '-f', '/dev/null', ...args], {
      encoding: 'utf8',
    });
  }
}

let fault: Intercept | undefined;
await using temp = await tempDirectory();
await using source = await startSandbox();
await using destination = await startSandbox({
  intercept: (exchange, next) => (fault ? fault(exchange, next) : next()),
});
for (let tag = 1; tag <= 12; tag += 1) {
  const layers = [someBytes(tag * MiB), someBytes(1000)];
  await storeImage(source.storage, FROM, `release-1.${tag}`, layers);
}

async function until(shown: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 300 && !shown(); attempt += 1) await delay(100);
}

for (const size of SIZES) {
  const tmux = new Tmux(size);
  const show = (what: string): void => {
    console.log(`\n=== ${size}: ${what}\n${tmux.screen()}`);
  };
  const to = `${destination.host}/mirror/${size}`;
  const plan = temp.join(`${size}.json`);
  const node = `${process.execPath} ${MAIN}`;
  await mkdir(temp.join(size));
  const places = [`${source.host}/${FROM}`, to];
  await promisify(execFile)(process.execPath, [MAIN, 'plan', 'copy', ...places, '--out', plan]);
  tmux.type(
    `clear; ${node} apply ${plan} --no-cache --limit-rate 6MiB --chunk-size 512KiB`,
    'Enter',
  );
  await until(() => tmux.screen().includes('MiB/s'));
  await delay(2500);
  show('a slow copy');

  let answered = 0;
  fault = async ({method}, next) => {
    if (method !== 'PATCH' || (answered += 1) > 1) return await next();
    return emptyReply(429, {'retry-after': '6'});
  };
  await until(() => tmux.screen().includes('quiet'));
  await delay(1200);
  show('a wait');
  fault = async ({method}, next) => {
    if (method === 'PATCH' && (answered += 1) % 5 === 0) return emptyReply(502);
    return await next();
  };
  await delay(4000);
  show('retries');
  fault = undefined;
  tmux.resize(60, 12);
  await delay(1000);
  show('resized to 60x12');
  tmux.type('C-c');
  await until(() => tmux.screen().includes('Interrupted'));
  show('Ctrl-C');
  tmux.resize(Number(size.split('x')[0]), Number(size.split('x')[1]));
  tmux.type(
    `clear; ${node} apply ${plan} --no-cache --limit-rate 40MiB --chunk-size 512KiB`,
    'Enter',
  );
  await until(() => tmux.screen().includes('MiB/s'));
  await delay(600);
  show('a resumed run');
  await until(() => tmux.screen().includes('Done:'));
  show('the end');
  tmux.end();
  await rm(plan);
}
