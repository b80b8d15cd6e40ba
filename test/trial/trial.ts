import {spawn} from 'node:child_process';
import {lstat, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {MemoryLimit} from '../bench/memory-limit.ts';
import {cleanEnvironment} from '../support/program.ts';
import {runHere} from '../support/run-here.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';

/** The program as it is shipped. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.cjs', import.meta.url));

/** No run may take more. */
const PEAK_LIMIT_MIB = 300;
/** Of each stream of a run, in bytes. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;

/** What nobody sees, or what moves other text: all but line breaks, tabs and the escapes that are looked for below. */
const UNSEEN =
  // oxlint-disable-next-line no-misleading-character-class
  /(?![\n\t])[\p{Cc}\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}\p{Cs}]/u;

const RAW_ERROR = /INTERNAL|internal error|^\s+at .*:\d+:\d+/m;

/** How a progress bar moves the cursor. */
// oxlint-disable-next-line no-control-regex
const BAR = /\u001b\[(?:\?25[lh]|\d*[AKJ])|\r/g;

/** Files that people and pipelines read. */
const TEXT_FILE = /\.(?:json|ndjson|xml|env|ya?ml|md|html|txt)$/;

/** What hostile content does to the program. Cases of one name and group are one. */
export interface Case {
  readonly group: string;
  readonly name: string;
  /** The longest that one run of the case may take. Default: 30. */
  readonly seconds?: number;
  /** @throws Error where the program did not do what it should */
  readonly run: (trial: Trial) => Promise<void>;
}

export interface RunOptions {
  /** Undefined: the variable is not set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** Settles where the program is to be told by SIGINT to end, as often as is said. */
  readonly interrupt?: {readonly when: Promise<unknown>; readonly times: number} | undefined;
}

export interface Run {
  /** 137: it was killed at its limit. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
  /** From the last SIGINT to the end; absent: none was sent. */
  readonly afterInterrupt?: number | undefined;
  readonly peakMiB: number;
}

/** Writes the largest resident size of the process to a file: of the process alone, where the system tells it. */
const PROBE = `
import {readFileSync, writeFileSync} from 'node:fs';
process.on('exit', () => {
  let peak = process.resourceUsage().maxRSS;
  try {
    peak = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {}
  writeFileSync(process.env.TRIAL_PEAK, String(peak));
});`;

/** What one case runs, and what it has to look at afterwards. */
export class Trial implements AsyncDisposable {
  readonly #seconds: number;
  readonly #memory: MemoryLimit | undefined;
  readonly #temp: TempDirectory;
  readonly #resources = new AsyncDisposableStack();
  readonly #secrets = new Set<string>();
  /** Files with secrets that the case itself wrote. */
  readonly #planted = new Set<string>();
  #count = 0;
  peakMiB = 0;
  longest = 0;
  runs = 0;

  private constructor(temp: TempDirectory, seconds: number, memory: MemoryLimit | undefined) {
    this.#temp = temp;
    this.#seconds = seconds;
    this.#memory = memory;
  }

  /** @param memory where the program runs; undefined: it may take all memory, and Node collects garbage later */
  static async begin({seconds = 30}: Case, memory?: MemoryLimit): Promise<Trial> {
    const trial = new Trial(await tempDirectory(), seconds, memory);
    for (const name of ['home', 'tmp', 'work']) await mkdir(trial.#temp.join(name));
    return trial;
  }

  /** A server or another resource, until the case is over. */
  use<T extends AsyncDisposable>(resource: T): T {
    return this.#resources.use(resource);
  }

  /** A path in the directory that the program runs in. */
  path(...parts: readonly string[]): string {
    return this.#temp.join('work', ...parts);
  }

  home(...parts: readonly string[]): string {
    return this.#temp.join('home', ...parts);
  }

  /** A text that must be in no output and in no file, and not in base64 either. */
  secret(name: string): string {
    const secret = `s3cr3t-${name}-${Math.random().toString(36).slice(2)}${'x'.repeat(8)}`;
    this.#secrets.add(secret);
    return secret;
  }

  /** Writes a file of the case, which may hold secrets. */
  async plant(path: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
    await mkdir(join(path, '..'), {recursive: true});
    await writeFile(path, content, {mode});
    this.#planted.add(path);
    return path;
  }

  /** Runs the program to its end, and checks what holds for every run. @throws Error where something does not */
  async transship(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    const report = this.#temp.join(`peak-${++this.#count}`);
    const env = {
      ...cleanEnvironment(),
      HOME: this.home(),
      TMPDIR: this.#temp.join('tmp'),
      NODE_DISABLE_COMPILE_CACHE: '1',
      TRIAL_PEAK: report,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PROBE)}`,
      ...options.env,
    };
    const began = performance.now();
    const command = [process.execPath, MAIN, ...args];
    const [file = '', ...words] = this.#memory?.within(command) ?? command;
    const child = spawn(file, words, {
      cwd: options.cwd ?? this.#temp.join('work'),
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: this.#seconds * 1000,
      killSignal: 'SIGKILL',
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
    let interrupted: number | undefined;
    const interrupt = async ({when, times}: NonNullable<RunOptions['interrupt']>) => {
      await when;
      for (let sent = 0; sent < times; sent += 1) {
        // Two signals that arrive together are one.
        await delay(sent === 0 ? 0 : 300);
        interrupted = performance.now();
        child.kill('SIGINT');
      }
    };
    if (options.interrupt) void interrupt(options.interrupt);
    const ended = new Promise<number>((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 137)));
    });
    const [stdout, stderr, code] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      ended,
    ]);
    const end = performance.now();
    const seconds = (end - began) / 1000;
    const afterInterrupt = interrupted === undefined ? undefined : (end - interrupted) / 1000;
    const peak = await readFile(report, 'utf8').catch(() => undefined);
    const peakMiB = peak === undefined ? NaN : Math.round(Number(peak) / 1024);
    this.runs++;
    this.peakMiB = Math.max(this.peakMiB, peakMiB || 0);
    this.longest = Math.max(this.longest, seconds);
    const run = {code, stdout, stderr, seconds, afterInterrupt, peakMiB};
    this.#check(args, run);
    return run;
  }

  /**
   * As `transship`, in this process: for cases of so many runs that starting the program would take most of their time.
   * Its memory is not looked at, and only one case may be run at once.
   */
  async transshipHere(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    const before = process.cwd();
    process.chdir(options.cwd ?? this.#temp.join('work'));
    const began = performance.now();
    try {
      const result = await runHere(args, {
        env: {...cleanEnvironment(), TRANSSHIP_NO_CACHE: '1', ...options.env},
        home: options.env?.['HOME'] ?? this.home(),
        stdin: options.stdin ?? '',
      });
      const run = {...result, seconds: (performance.now() - began) / 1000, peakMiB: 0};
      this.runs++;
      this.longest = Math.max(this.longest, run.seconds);
      this.#check(args, run);
      return run;
    } finally {
      process.chdir(before);
    }
  }

  /** Looks at what the case left. @throws Error */
  async finish(): Promise<void> {
    const left = await readdir(this.#temp.join('tmp'));
    const ours = left.filter((name) => name.startsWith('transship'));
    if (ours.length > 0) throw new Error(`left in the temporary directory: ${ours.join(', ')}`);
    for (const name of ['home', 'work', 'tmp']) await this.#lookAt(this.#temp.join(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    await this.#temp[Symbol.asyncDispose]();
  }

  #check(args: readonly string[], {code, stdout, stderr, seconds, peakMiB}: Run): void {
    const problems: string[] = [];
    const output = stdout + stderr.replaceAll(BAR, '');
    if (code === 137 || seconds > this.#seconds) problems.push(`took ${seconds.toFixed(0)} s`);
    else if (!(peakMiB <= PEAK_LIMIT_MIB)) problems.push(`took ${peakMiB} MiB`);
    if (![0, 1, 2, 3, 4, 64, 130, 137].includes(code)) problems.push(`exit ${code}`);
    // With --debug, the stack of an error is what was asked for.
    const raw = args.includes('--debug') ? /INTERNAL|internal error/ : RAW_ERROR;
    if (raw.test(output)) problems.push('a raw error');
    const unseen = UNSEEN.exec(output);
    if (unseen !== null) problems.push(`unprintable: ${around(output, unseen.index)}`);
    for (const secret of this.#secrets)
      for (const form of formsOf(secret))
        if (output.includes(form))
          problems.push(`a secret: ${around(output, output.indexOf(form))}`);
    if (problems.length > 0)
      throw new Error(`${problems.join('; ')}: ${args.join(' ')}\n${output.slice(-1500)}`);
  }

  async #lookAt(directory: string): Promise<void> {
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const stats = await lstat(path);
      if (stats.isDirectory()) await this.#lookAt(path);
      if (!stats.isFile() || this.#planted.has(path) || stats.size > OUTPUT_LIMIT) continue;
      const text = await readFile(path, 'utf8');
      const unseen = TEXT_FILE.test(name) ? UNSEEN.exec(text) : null;
      if (unseen !== null) throw new Error(`unprintable in ${path}: ${around(text, unseen.index)}`);
      for (const secret of this.#secrets)
        for (const form of formsOf(secret))
          if (text.includes(form)) throw new Error(`a secret is in ${path}`);
    }
  }
}

/** As it is, in URLs, and in each of the three places that it may have in base64. */
export function formsOf(secret: string): readonly string[] {
  const encoded = [0, 1, 2].map((shift) =>
    Buffer.from(`${'_'.repeat(shift)}${secret}`)
      .toString('base64')
      .slice(4, -8),
  );
  const bytes = Array.from(Buffer.from(secret), (byte) => `%${byte.toString(16).padStart(2, '0')}`);
  const escaped = bytes.join('');
  return [secret, encodeURIComponent(secret), escaped, escaped.toUpperCase(), ...encoded];
}

function around(text: string, at: number): string {
  return JSON.stringify(text.slice(Math.max(0, at - 60), at + 40));
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const piece of stream.setEncoding('utf8'))
    if (text.length < OUTPUT_LIMIT) text += String(piece);
  return text;
}

/** @throws Error with the whole output where the run did not end so */
export function expectEnd(run: Run, code: number | readonly number[], text?: string | RegExp): Run {
  const isCode = typeof code === 'number' ? run.code === code : code.includes(run.code);
  const output = run.stdout + run.stderr;
  const isText =
    text === undefined || (typeof text === 'string' ? output.includes(text) : text.test(output));
  if (isCode && isText) return run;
  throw new Error(
    `exit ${run.code}, expected ${String(code)} ${String(text ?? '')}\n${output.slice(-1500)}`,
  );
}
