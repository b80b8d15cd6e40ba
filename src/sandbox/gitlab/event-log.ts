/** What happened in the sandbox, told by the path that things had then. `by` is a user name. */
export type SandboxEvent =
  | {
      readonly kind: 'manifest-pushed';
      readonly repository: string;
      readonly digest: string;
      readonly tag?: string;
    }
  | {
      readonly kind: 'tag-deleted';
      readonly repository: string;
      readonly tag: string;
      readonly digest: string;
    }
  | {
      readonly kind: 'manifest-deleted';
      readonly repository: string;
      readonly digest: string;
    }
  | {
      readonly kind: 'blob-pushed' | 'blob-mounted' | 'blob-deleted';
      readonly repository: string;
      readonly digest: string;
    }
  /** The registry moved images itself (native move). */
  | {readonly kind: 'repository-moved'; readonly from: string; readonly to: string}
  | {
      readonly kind: 'repository-delete-asked' | 'repository-deleted' | 'repository-delete-failed';
      readonly repository: string;
    }
  | {
      readonly kind: 'project-moved' | 'group-moved';
      readonly id: number;
      readonly from: string;
      readonly to: string;
    }
  | {
      readonly kind: 'group-created' | 'project-created' | 'project-deleted' | 'project-changed';
      readonly id: number;
      readonly path: string;
      /** What was changed. */
      readonly what?: string;
    }
  /** GitLab said no to a change. */
  | {readonly kind: 'refused'; readonly what: string; readonly why: string};

export type LoggedEvent = SandboxEvent & {
  /** Counted from 1, without gaps. */
  readonly seq: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly by: string;
};

/** More events than this are a runaway client: the log must be whole, so nothing is dropped. */
const EVENT_LIMIT = 1_000_000;

/** Every change in the sandbox, in the order in which they took effect. */
export class EventLog {
  readonly #events: LoggedEvent[] = [];
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get events(): readonly LoggedEvent[] {
    return this.#events;
  }

  /** @throws Error when the log is full */
  add(by: string, event: SandboxEvent): void {
    if (this.#events.length >= EVENT_LIMIT) throw new Error('the event log is full');
    this.#events.push({...event, seq: this.#events.length + 1, at: this.#clock(), by});
  }
}

/** A time in which no tag in the registry held an image. */
export interface Gap {
  readonly digest: string;
  /** The event that took the last tag. */
  readonly from: number;
  /** The event that gave it one again; undefined: it has none to this day. */
  readonly to: number | undefined;
}

/**
 * Whether every image that ever had a tag had one at every moment since, anywhere in the registry. Where a gap is, the
 * image must be somewhere else: the caller has to check a donor outside GitLab.
 */
export function gaps(events: readonly LoggedEvent[]): readonly Gap[] {
  const tags = new Map<string, string>();
  const open = new Map<string, number>();
  const found: Gap[] = [];
  const release = (digest: string, seq: number) => {
    if (![...tags.values()].includes(digest)) open.set(digest, seq);
  };
  const hold = (name: string, digest: string, seq: number) => {
    const before = tags.get(name);
    tags.set(name, digest);
    const from = open.get(digest);
    if (from !== undefined) found.push({digest, from, to: seq});
    open.delete(digest);
    if (before !== undefined && before !== digest) release(before, seq);
  };
  const drop = (name: string, seq: number) => {
    const digest = tags.get(name);
    tags.delete(name);
    if (digest !== undefined) release(digest, seq);
  };
  for (const event of events) {
    const {seq} = event;
    if (event.kind === 'manifest-pushed' && event.tag !== undefined) {
      hold(`${event.repository}:${event.tag}`, event.digest, seq);
    } else if (event.kind === 'tag-deleted') {
      drop(`${event.repository}:${event.tag}`, seq);
    } else if (event.kind === 'manifest-deleted') {
      const named = [...tags].filter(
        ([name, digest]) => digest === event.digest && name.startsWith(`${event.repository}:`),
      );
      for (const [name] of named) drop(name, seq);
    } else if (event.kind === 'repository-moved') {
      const moved = [...tags].filter(([name]) => name.startsWith(`${event.from}:`));
      for (const [name, digest] of moved) {
        tags.delete(name);
        tags.set(`${event.to}:${name.slice(event.from.length + 1)}`, digest);
      }
    }
  }
  return [...found, ...[...open].map(([digest, from]) => ({digest, from, to: undefined}))];
}
