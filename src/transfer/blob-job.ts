import type {Descriptor} from '../model/descriptor.ts';
import type {RepositoryReader, RepositoryWriter, SavedUpload, Upload} from '../model/port.ts';
import type {ChunkSize} from './chunk-size.ts';
import type {RateLimit} from './rate-limit.ts';
import type {ReadConnections} from './read-connections.ts';
import type {OnRetry, RetryPolicy} from '../http/retry.ts';

/** One blob that has to travel. */
export interface BlobJob {
  readonly blob: Descriptor;
  readonly source: RepositoryReader;
  readonly destination: RepositoryWriter;
  /** Where an earlier run stood. */
  readonly saved?: SavedUpload;
  /** An upload that is open already: a registry's answer to a mount that it did not do. */
  readonly upload?: Upload;
}

export interface TransferSettings {
  /** Of the destination's host. */
  readonly chunkSize: ChunkSize;
  readonly retry: RetryPolicy;
  /** Of the whole run. */
  readonly connections: ReadConnections;
  /** Of the whole run; absent: as fast as it goes. */
  readonly rate?: RateLimit;
  /** No chunk is begun any more once this is aborted; the one under way is finished and remembered. */
  readonly stopping: AbortSignal;
}

/** What the transfer tells while it goes on. */
export interface TransferEvents {
  /** Bytes that the destination holds now; absolute. */
  readonly acknowledged: (bytes: number) => void;
  /** Bytes that were given away to be sent, those of failed attempts included. */
  readonly sent: (bytes: number) => void;
  /** Where the upload stands; to be remembered, and awaited before more is sent. */
  readonly saved: (upload: SavedUpload) => Promise<void>;
  readonly retrying: OnRetry;
}
