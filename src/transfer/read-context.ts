import type {SlowestPace} from './pace.ts';
import type {RateLimit} from './rate-limit.ts';
import type {ReadConnections} from './read-connections.ts';
import type {RetryBudget} from './retry-budget.ts';

/** What reading a blob takes besides the blob. */
export interface ReadContext {
  readonly connections: ReadConnections;
  /** Each connection has a budget of its own: when a line breaks, all its connections fail at once. */
  readonly newBudget: () => RetryBudget;
  /** Of the whole run; absent: as fast as it goes. */
  readonly rate?: RateLimit | undefined;
  /** What a connection must give at least. Default: 60 KiB in a minute. */
  readonly slowest?: SlowestPace | undefined;
}
