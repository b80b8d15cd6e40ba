import type {Digest} from './digest.ts';
import type {ConvertedLayer} from './schema1.ts';

/** How a manifest was made from one of the source, whose digest is `digest`. */
export type Conversion =
  /**
   * From Docker schema 1 (model/schema1.ts). Its config, the first of the blobs, is made with it. What was read of the
   * layers, the base first, is kept, so that they need not be read again.
   */
  | {
      readonly kind: 'schema1';
      readonly digest: Digest;
      readonly layers: readonly ConvertedLayer[];
    }
  /** Its foreign layers became ordinary ones (model/foreign-layers.ts). */
  | {readonly kind: 'foreign-layers'; readonly digest: Digest}
  /** An index that lists converted manifests in the place of others; of those of the source only `keep`, if it is set. */
  | {
      readonly kind: 'index';
      readonly digest: Digest;
      readonly keep?: readonly Digest[];
      readonly instead: readonly {readonly from: Digest; readonly to: Digest}[];
    };
