import type {Descriptor} from '../model/descriptor.ts';
import {TransshipError} from '../model/error.ts';
import type {RepositoryReader} from '../model/port.ts';

/** More bytes than the descriptor says. */
export function longer(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError(
    'BLOB_SIZE_MISMATCH',
    `${source.name}@${blob.digest} is longer than its ${blob.size} bytes`,
    {
      side: 'source',
      hint: 'the manifest and the blob do not match; push the image to the source again',
    },
  );
}

/** A connection that gives next to nothing; another one may be better. */
export function tooSlow(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError(
    'TIMEOUT',
    `${source.name}@${blob.digest}: download stalled (below 1 KiB/s)`,
    {
      side: 'source',
      retry: true,
      hint: 'the registry or the network in between is overloaded',
    },
  );
}

/** Fewer bytes than the descriptor says: a line that broke without a word, or a blob that is damaged. */
export function endedEarly(source: RepositoryReader, blob: Descriptor, at: number): TransshipError {
  return new TransshipError(
    'BLOB_SIZE_MISMATCH',
    `${source.name}@${blob.digest} ended after ${at} of ${blob.size} bytes`,
    {
      side: 'source',
      retry: true,
      hint: 'the source has fewer bytes than the manifest says; push the image there again',
    },
  );
}
