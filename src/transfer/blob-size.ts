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
      hint: 'the manifest and the blob do not belong together; push the image anew at the source',
    },
  );
}

/** A connection that gives next to nothing; another one may be better. */
export function tooSlow(source: RepositoryReader, blob: Descriptor): TransshipError {
  return new TransshipError('TIMEOUT', `${source.name}@${blob.digest} comes too slowly`, {
    side: 'source',
    retry: true,
    hint: 'the registry or the network in between is overloaded',
  });
}

/** Fewer bytes than the descriptor says: a line that broke without a word, or a blob that is damaged. */
export function endedEarly(source: RepositoryReader, blob: Descriptor, at: number): TransshipError {
  return new TransshipError(
    'BLOB_SIZE_MISMATCH',
    `${source.name}@${blob.digest} ended after ${at} of ${blob.size} bytes`,
    {
      side: 'source',
      retry: true,
      hint: 'the source holds less than the manifest says; push the image anew there',
    },
  );
}
