import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

const BUILT = fileURLToPath(new URL('../../dist/cli/main.cjs', import.meta.url));

export interface Options {
  /** How often each variant runs a workload; more often where that takes seconds, once where it takes long. */
  readonly rounds: number;
  /** Ids of workloads; undefined: all. */
  readonly only: readonly string[] | undefined;
  /** Names of tools; undefined: all that are found. */
  readonly tools: readonly string[] | undefined;
  /** Leave out the peers as they come, which are slow, and run them with their best flags only. */
  readonly best: boolean;
  /** Of the sizes and of the number of tags. */
  readonly scale: number;
  /** The directory for all that is written; undefined: one in memory, if there is one with room enough. */
  readonly storage: string | undefined;
  /** Where the page is kept besides stdout. */
  readonly out: string | undefined;
  /** Built programs of transship: its `cli/main.cjs`, and those of other versions to compare with. */
  readonly transship: readonly string[];
}

export const USAGE = `node test/bench/main.ts [--rounds 3] [--only A,B] [--tools transship,crane] [--scale 0.1]
  [--best]             no peers without flags: quicker
  [--storage DIR]      where the registries keep their images, instead of memory (/dev/shm)
  [--out FILE]         keep the page there as well
  [--transship FILE]   the cli/main.cjs to measure, instead of the one in dist (repeatable, to compare builds)
`;

/** @throws Error naming the argument that is wrong */
export function readOptions(args: readonly string[]): Options {
  const {values} = parseArgs({
    args: [...args],
    options: {
      rounds: {type: 'string', default: '3'},
      only: {type: 'string'},
      tools: {type: 'string'},
      best: {type: 'boolean', default: false},
      scale: {type: 'string', default: '1'},
      storage: {type: 'string'},
      out: {type: 'string'},
      transship: {type: 'string', multiple: true, default: [BUILT]},
    },
  });
  return {
    rounds: positive('--rounds', values.rounds),
    only: values.only?.toUpperCase().split(','),
    tools: values.tools?.split(','),
    best: values.best,
    scale: positive('--scale', values.scale),
    storage: values.storage,
    out: values.out,
    transship: values.transship,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new Error(`${name} ${text}: write a number above 0`);
}
