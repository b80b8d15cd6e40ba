/**
 * Values by a place and a name, such as a repository and a digest. Nested maps instead of a joined key, because a large
 * plan has some 100,000 values and would create a string for each lookup.
 */
export class ByPlace<Name, Value> {
  readonly #places = new Map<string, Map<Name, Value>>();

  get(place: string, name: Name): Value | undefined {
    return this.#places.get(place)?.get(name);
  }

  has(place: string, name: Name): boolean {
    return this.#places.get(place)?.has(name) === true;
  }

  set(place: string, name: Name, value: Value): void {
    const names = this.#places.get(place);
    if (names === undefined) this.#places.set(place, new Map([[name, value]]));
    else names.set(name, value);
  }

  get size(): number {
    return [...this.#places.values()].reduce((sum, {size}) => sum + size, 0);
  }

  /** Place by place, in insertion order. */
  *values(): Generator<Value> {
    for (const names of this.#places.values()) yield* names.values();
  }
}
