// Past: the newest ten minutes, in buckets of five seconds, each the mean of the values received in it.

export const STEP = 5
export const SIZE = 120

// A ring of buckets, so that nothing is moved or allocated as time goes on.
class Ring {
  #bucket = new Float64Array(SIZE).fill(-1)
  #sum = new Float64Array(SIZE)
  #count = new Float64Array(SIZE)

  add(bucket, value) {
    const cell = bucket % SIZE
    if (this.#bucket[cell] !== bucket) {
      this.#bucket[cell] = bucket
      this.#sum[cell] = this.#count[cell] = 0
    }
    this.#sum[cell] += value
    this.#count[cell] += 1
  }

  at(bucket) {
    const cell = bucket % SIZE
    return this.#bucket[cell] === bucket ? this.#sum[cell] / this.#count[cell] : null
  }
}

export class Past {
  #rings = new Map()
  #newest = 0

  // `kind` is a domain's name, or what else is followed; `value` may be null: unknown then.
  add(at, kind, region, value) {
    const bucket = Math.floor(at / STEP)
    this.#newest = Math.max(this.#newest, bucket)
    if (value === null || value === undefined) return
    if (!this.#rings.has(kind)) this.#rings.set(kind, new Map())
    const regions = this.#rings.get(kind)
    if (!regions.has(region)) regions.set(region, new Ring())
    regions.get(region).add(bucket, value)
  }

  // Begin again: a history from the server replaces what was collected here.
  clear() {
    this.#rings.clear()
  }

  get kinds() {
    return [...this.#rings.keys()]
  }

  // Epoch seconds of the buckets, and one list of values per region, as uPlot takes them.
  table(kind, regions) {
    const buckets = Array.from({ length: SIZE }, (_, index) => this.#newest - SIZE + 1 + index)
    const rings = this.#rings.get(kind)
    return [
      buckets.map((bucket) => bucket * STEP),
      ...regions.map((region) => buckets.map((bucket) => rings?.get(region)?.at(bucket) ?? null)),
    ]
  }

  // How many events that makes, over all regions.
  sum(kind) {
    const lists = this.table(kind, [...(this.#rings.get(kind)?.keys() ?? [])]).slice(1)
    return lists.flat().reduce((sum, value) => sum + (value ?? 0) * STEP, 0)
  }
}
