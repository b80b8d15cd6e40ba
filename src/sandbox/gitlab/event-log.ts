/** A change in the sandbox. Paths are those at the time of the event; `by` is a user name. */
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
  /** The registry moved the images (native move). */
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
      /** The changed fields. */
      readonly what?: string;
    }
  /** GitLab refused a change. */
  | {readonly kind: 'refused'; readonly what: string; readonly why: string};

export type LoggedEvent = SandboxEvent & {
  /** Counted from 1, without gaps. */
  readonly seq: number;
  /** ms since the epoch. */
  readonly at: number;
  readonly by: string;
};

/** More events indicate a runaway client. The log must be complete, so no event is dropped. */
const EVENT_LIMIT = 1_000_000;

/** All changes in the sandbox, in the order in which they took effect. */
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

/** A period in which no tag in the registry referred to an image. */
export interface Gap {
  readonly digest: string;
  /** The event that removed the last tag. */
  readonly from: number;
  /** The event that added a tag again; undefined: there is none. */
  readonly to: number | undefined;
}

/**
 * The periods in which an image that had a tag before had none, anywhere in the registry. The caller has to check that
 * the image was in a donor outside GitLab at that time.
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
