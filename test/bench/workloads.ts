import type {ContentSpec} from './content.ts';
import type {LineSpeed} from './delayed-line.ts';
import type {RegistryKind} from './registries.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** A piece of work that every tool does. */
export interface Workload {
  readonly id: string;
  readonly title: string;
  readonly content: ContentSpec;
  /** The way to the source; undefined: loopback. */
  readonly source?: LineSpeed;
  /** The way to the destination; undefined: loopback. */
  readonly destination?: LineSpeed;
  /** What the destination is; default: docker-registry. */
  readonly into?: RegistryKind;
  /** The destination has it all before the tool begins. */
  readonly isDone?: true;
  /** The tool is killed when this part of the bytes has reached the destination, then run again. */
  readonly killAt?: number;
  /** Once, and only with the best flags: it is about memory, and takes long. */
  readonly isLong?: true;
}

const FAR = {roundTripMs: 40};
const FAR_AND_SLOW = {...FAR, bytesPerSecond: 20_000_000};
const MANY_TAGS = {
  tags: 300,
  shared: {count: 5, size: 2 * MiB},
  own: {count: 1, size: 16 * KiB},
};
const ONE_LAYER = {tags: 1, shared: {count: 0, size: 0}, own: {count: 1, size: 512 * MiB}};

export const WORKLOADS: readonly Workload[] = [
  {
    id: 'A',
    title: 'one image of 8 layers of 128 MiB, loopback',
    content: {tags: 1, shared: {count: 0, size: 0}, own: {count: 8, size: 128 * MiB}},
  },
  {
    id: 'B',
    title: '300 tags with 5 layers of 2 MiB in common, 40 ms away on both sides',
    content: MANY_TAGS,
    source: FAR,
    destination: FAR,
  },
  {
    id: 'C',
    title: 'the same 300 tags again, with nothing to do',
    content: MANY_TAGS,
    source: FAR,
    destination: FAR,
    isDone: true,
  },
  {
    id: 'D',
    title: 'one layer of 512 MiB, 40 ms away, the source gives 20 MB/s per connection',
    content: ONE_LAYER,
    source: FAR_AND_SLOW,
    destination: FAR,
  },
  {
    id: 'E',
    title:
      'the same layer to a registry that keeps cut uploads (ours), killed (SIGKILL) half-way and run again',
    content: ONE_LAYER,
    source: FAR_AND_SLOW,
    destination: FAR,
    into: 'gitlab',
    killAt: 0.5,
  },
  {
    id: 'F',
    title: 'one layer of 5 GiB, loopback',
    content: {tags: 1, shared: {count: 0, size: 0}, own: {count: 1, size: 5 * GiB}},
    isLong: true,
  },
  {
    id: 'G',
    title: '5,000 tags, loopback',
    content: {...MANY_TAGS, tags: 5000, own: {count: 1, size: KiB}},
    isLong: true,
  },
];

/** The same work with less of everything: fewer tags, or where there is one, a smaller layer. */
export function scaled(workload: Workload, factor: number): Workload {
  const {tags, shared, own} = workload.content;
  const part = (whole: number): number => Math.max(1, Math.round(whole * factor));
  return {
    ...workload,
    content:
      tags === 1
        ? {tags, shared, own: {...own, size: part(own.size)}}
        : {tags: part(tags), shared, own},
  };
}
