import type {Digest} from './digest.ts';
import type {ConvertedLayer} from './schema1.ts';

/** How a manifest was made from one of the source, whose digest is `digest`. */
export type Conversion =
  /**
   * From Docker schema 1 (model/schema1.ts). Its config, the first of its blobs, is created with it. The facts about
   * its layers, the base first, are kept, so that the layers need not be read again.
   */
  | {
      readonly kind: 'schema1';
      readonly digest: Digest;
      readonly layers: readonly ConvertedLayer[];
    }
  /** Its foreign layers were changed to ordinary ones (model/foreign-layers.ts). */
  | {readonly kind: 'foreign-layers'; readonly digest: Digest}
  /** An index that lists converted manifests instead of the source's, of which it keeps only `keep`, if that is set. */
  | {
      readonly kind: 'index';
      readonly digest: Digest;
      readonly keep?: readonly Digest[];
      readonly instead: readonly {readonly from: Digest; readonly to: Digest}[];
    };
