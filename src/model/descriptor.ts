import type {Digest} from './digest.ts';
import type {Platform} from './platform.ts';

/** Media type, digest and size (bytes): the key of everything (image-spec descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly platform?: Platform;
  readonly artifactType?: string;
  /** Where else the content is to be had; such a layer need not be in the registry. */
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
}
