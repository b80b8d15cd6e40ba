import {randomBytes} from 'node:crypto';
import {setTimeout} from 'node:timers/promises';
import {type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, Upload} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Registry, RegistryRepository} from '../registry/registry.ts';
import {failed, type Finding, passed, warned} from './examination.ts';

const MIB = 1024 * 1024;
const BYTES = 'application/octet-stream';

/**
 * Bodies that are tried, in bytes, the largest first: proxies limit them to 1 MiB (nginx) or 100 MB (Cloudflare) by
 * default.
 */
const BODY_SIZES = [128, 64, 32, 16, 8, 4, 2].map((size) => size * MIB);
/** The first body, in bytes: by it the others are chosen. */
const FIRST_BODY = MIB;
/** A body that would take longer is not tried, in ms. */
const LONGEST_BODY_MS = 20_000;

/** A chunk that is sent whole, in bytes, and the half of one that breaks off. */
const WHOLE = 64 * 1024;
const HALF = 64 * 1024;
/** A server gets so long to read what arrived before the connection breaks, and to notice that it broke, in ms. */
const SETTLING_MS = 250;

/** Uploads to one repository. What they store is in `stored`, to be deleted. */
export class UploadTrial {
  readonly #registry: Registry;
  readonly #path: RepositoryPath;
  readonly #repository: RegistryRepository;
  readonly #base: URL;
  readonly #call: Call;
  readonly stored = new Set<Digest>();

  /** @param base the URL of the registry's API */
  constructor(registry: Registry, path: RepositoryPath, base: URL, call: Call) {
    this.#registry = registry;
    this.#path = path;
    this.#repository = registry.repository(path);
    this.#base = base;
    this.#call = call;
  }

  /** A blob in one request. @throws TransshipError */
  async put(bytes: Uint8Array): Promise<void> {
    const blob = blobOf(bytes);
    this.stored.add(blob.digest);
    await this.#repository.putBlob(blob, () => Promise.resolve(bytes), this.#call);
  }

  /** The address of an upload as the registry writes it: behind a proxy it may be another than its own. */
  async location(): Promise<Finding> {
    const text = await this.#registry.probeLocation(this.#path, this.#call);
    if (text.startsWith('/') && !text.startsWith('//'))
      return passed('location', 'uploads have relative addresses', 'relative');
    const url = new URL(text, this.#base);
    const [own, shown] = [this.#base.origin, url.origin];
    if (url.origin === own)
      return passed('location', `uploads are at the registry itself, ${shown}`, 'absolute');
    const what =
      url.hostname !== this.#base.hostname
        ? 'another host'
        : url.protocol !== this.#base.protocol
          ? 'another scheme'
          : 'another port';
    return warned(
      'location',
      `uploads are sent to ${what}: ${shown}, the registry is at ${own}`,
      'unless that is on purpose, its external URL is wrong, or its proxy does not pass on Host and X-Forwarded-Proto: pushes of docker repeat without end; relative addresses (http.relativeurls) help',
      what,
    );
  }

  /** A blob in two chunks, with a question in between. */
  async chunks(bytes: Uint8Array): Promise<readonly Finding[]> {
    const blob = blobOf(bytes);
    this.stored.add(blob.digest);
    const upload = await this.#repository.beginUpload(blob, this.#call);
    try {
      const half = Math.floor(bytes.byteLength / 2);
      await upload.append(pieces(bytes.subarray(0, half)), half, this.#call);
      const asked = await upload.queryOffset(this.#call);
      await upload.append(pieces(bytes.subarray(half)), bytes.byteLength - half, this.#call);
      await upload.commit(blob, this.#call);
      const resumable =
        asked === half
          ? passed('resume', 'the registry tells how far an upload is', 'yes')
          : warned(
              'resume',
              'the registry does not tell how far an upload is',
              'interrupted uploads restart',
              'no',
            );
      const {minChunk} = upload;
      const least = minChunk > 0 ? `, of ${minChunk} bytes at least` : '';
      return [passed('chunks', `a blob in chunks${least}`, 'yes'), resumable];
    } catch (error) {
      if (!(error instanceof TransshipError)) throw error;
      await upload.cancel(this.#call);
      await this.put(bytes);
      return [
        warned(
          'chunks',
          `no chunks: ${error.message}`,
          'blobs are sent in one request: a proxy may limit its size',
          'no',
        ),
      ];
    }
  }

  /** An upload whose connection breaks in the middle of its second chunk, and whether it goes on. */
  async cut(): Promise<Finding> {
    const bytes = randomBytes(WHOLE + 2 * HALF);
    const blob = blobOf(bytes);
    const upload = await this.#repository.beginUpload(blob, this.#call);
    try {
      await upload.append(pieces(bytes.subarray(0, WHOLE)), WHOLE, this.#call);
      const half = bytes.subarray(WHOLE, WHOLE + HALF);
      await upload.append(cutAfter(half, this.#call), 2 * HALF, this.#call).catch(() => {
        this.#call.signal.throwIfAborted();
      });
      const kept = await this.#settledOffset(upload);
      if (kept === undefined) {
        return warned(
          'cut',
          'an upload whose connection breaks inside a chunk cannot be queried again',
          'it restarts; an upload that breaks between chunks is resumed',
          'lost',
        );
      }
      const inChunk = kept - WHOLE;
      const what = `of a chunk that broke off after ${HALF / 1024} KiB, ${Math.max(0, inChunk) / 1024} KiB are kept`;
      const refused = await this.#goOn(upload, bytes, kept);
      if (refused !== undefined) {
        return warned(
          'cut',
          `${what}, and the upload cannot be resumed there: ${refused.message}`,
          'such an upload restarts; uploads that break between chunks are resumed',
          'restarts',
        );
      }
      return inChunk > 0
        ? passed('cut', `${what}, and the upload is resumed there`, 'inside a chunk')
        : passed(
            'cut',
            `${what}: the upload is resumed after its last whole chunk (--chunk-size)`,
            'after a chunk',
          );
    } finally {
      await upload.cancel(this.#call);
    }
  }

  /** The offset once the registry has noticed that nothing more comes. */
  async #settledOffset(upload: Upload): Promise<number | undefined> {
    let known: number | undefined;
    for (let asked = 0; asked < 4; asked++) {
      await setTimeout(SETTLING_MS, undefined, {signal: this.#call.signal});
      const offset = await upload.queryOffset(this.#call);
      if (asked > 0 && offset === known) break;
      known = offset;
    }
    return known;
  }

  /** @returns why it is refused; undefined: it is stored */
  async #goOn(upload: Upload, bytes: Uint8Array, at: number): Promise<TransshipError | undefined> {
    const blob = blobOf(bytes);
    try {
      const rest = bytes.subarray(at);
      if (rest.byteLength > 0) await upload.append(pieces(rest), rest.byteLength, this.#call);
      this.stored.add(blob.digest);
      await upload.commit(blob, this.#call);
      return undefined;
    } catch (error) {
      this.#call.signal.throwIfAborted();
      if (error instanceof TransshipError) return error;
      throw error;
    }
  }

  /**
   * The largest body that gets through. Nothing of it is stored: each upload is given up.
   * @param most no larger body is tried, in bytes
   */
  async largestBody(most: number): Promise<Finding> {
    const began = performance.now();
    const refusedFirst = await this.#refuses(FIRST_BODY);
    if (refusedFirst !== undefined) return tooSmall(FIRST_BODY, refusedFirst);
    const rate = FIRST_BODY / Math.max(1, performance.now() - began);
    const sizes = BODY_SIZES.filter((size) => size <= most && size / rate <= LONGEST_BODY_MS);
    let refused: {readonly size: number; readonly why: string} | undefined;
    for (const size of sizes) {
      const why = await this.#refuses(size);
      if (why === undefined) return largestFinding(size, refused);
      refused = {size, why};
    }
    return largestFinding(FIRST_BODY, refused);
  }

  /** Why a body of this size is refused; undefined: it is taken. @throws TransshipError what is not about its size */
  async #refuses(size: number): Promise<string | undefined> {
    const upload = await this.#repository.beginUpload(blobOf(new Uint8Array()), this.#call);
    try {
      await upload.append(zeros(size), size, this.#call);
      return undefined;
    } catch (error) {
      this.#call.signal.throwIfAborted();
      if (!(error instanceof TransshipError)) throw error;
      if (error.status === 413) return '413';
      // A proxy that refuses a body may close the connection while it is sent, so that its response is lost.
      if (error.code === 'CONNECTION_FAILED' || error.code === 'TIMEOUT') return error.message;
      throw error;
    } finally {
      await upload.cancel(this.#call);
    }
  }

  /** A blob that the repository has already: whether the registry knows mounts at all. */
  async mount(bytes: Uint8Array): Promise<Finding> {
    const outcome = await this.#repository.mount(blobOf(bytes), this.#path, this.#call);
    if (outcome.kind === 'mounted')
      return passed('mount', 'blobs are mounted from other repositories without being sent', 'yes');
    if (outcome.kind === 'upload') await outcome.upload.cancel(this.#call);
    return warned(
      'mount',
      'blobs are not mounted from other repositories',
      'what several repositories share is sent to each of them',
      'no',
    );
  }

  /** Deletes what was stored, as far as the registry deletes blobs. */
  async remove(call: Call): Promise<Finding> {
    let left = 0;
    for (const digest of this.stored) {
      const isGone = await this.#registry.deleteBlob(this.#path, digest, call).catch(() => false);
      call.signal.throwIfAborted();
      if (!isGone) left += 1;
    }
    return left === 0
      ? passed('delete-blob', 'blobs can be deleted: nothing is left behind', 'yes')
      : passed(
          'delete-blob',
          `blobs cannot be deleted: ${left} of the trial, some hundred KiB, go with the garbage collection`,
          'no',
        );
  }
}

export function blobOf(bytes: Uint8Array) {
  return {mediaType: BYTES, digest: digestOf(bytes), size: bytes.byteLength};
}

function tooSmall(size: number, why: string): Finding {
  return failed(
    'largest-body',
    `a request of ${size / MIB} MiB is refused: ${why}`,
    'a proxy in front of the registry limits the size of requests (nginx: client_max_body_size): raise it',
    `less than ${size / MIB} MiB`,
  );
}

function largestFinding(
  taken: number,
  refused: {readonly size: number; readonly why: string} | undefined,
): Finding {
  const size = `${taken / MIB} MiB`;
  if (refused === undefined)
    return passed(
      'largest-body',
      `requests of ${size} are taken; larger ones were not tried`,
      `at least ${size}`,
    );
  return warned(
    'largest-body',
    `a request of ${refused.size / MIB} MiB is refused (${refused.why}), one of ${size} is taken`,
    `a proxy limits the size of requests (nginx: client_max_body_size): docker push fails with larger layers; transship sends smaller chunks by itself, at once with --chunk-size ${taken / MIB}MiB`,
    size,
  );
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}

async function* zeros(size: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(Math.min(size, MIB));
  await Promise.resolve();
  for (let left = size; left > 0; left -= piece.byteLength)
    yield piece.subarray(0, Math.min(left, piece.byteLength));
}

/** Its failure breaks the connection. */
async function* cutAfter(bytes: Uint8Array, {signal}: Call): AsyncGenerator<Uint8Array> {
  yield bytes;
  await setTimeout(SETTLING_MS, undefined, {signal});
  throw new TransshipError('INTERRUPTED', 'broken off on purpose', {
    side: 'local',
    hint: 'this is a bug in transship: please report it',
  });
}
